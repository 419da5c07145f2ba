"""The pages of a sign-up. `signup.answers` turns errors into answers."""

import json

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from signup.service import verifications


def given(request: HttpRequest, name: str) -> str:
    """Return a member of the request's JSON object, empty if it is not there."""
    try:
        fields = json.loads(request.body)
    except ValueError as error:
        raise BadRequest("the request is not JSON") from error
    return str(fields.get(name, "")) if isinstance(fields, dict) else ""


@require_POST
def start(request: HttpRequest) -> JsonResponse:
    name = verifications().start(given(request, "country"), given(request, "phone"))
    return JsonResponse({"id": name}, status=202)


@require_GET
def show(request: HttpRequest, name: str) -> JsonResponse:
    verification = verifications().get(name)
    return JsonResponse({"state": verification.state, "reason": verification.reason})


@require_POST
def check(request: HttpRequest, name: str) -> JsonResponse:
    return JsonResponse({"verified": verifications().check(name, given(request, "pin"))})


@require_POST
def call_again(request: HttpRequest, name: str) -> JsonResponse:
    verifications().call_again(name)
    return JsonResponse({"id": name}, status=202)

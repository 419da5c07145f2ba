"""Turns errors of a sign-up into answers."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from callworker import BrokerUnavailable, InvalidJob
from verification import COOL_DOWN_SECONDS, Refused, Unknown


class Answers:
    """A middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        match error:
            case Refused(retry_after=None):
                return JsonResponse({"error": error.code, "text": str(error)}, status=409)
            case Refused(retry_after=seconds):
                said = {"error": error.code, "text": str(error)}
                return JsonResponse(said, status=429, headers={"Retry-After": str(seconds)})
            case InvalidJob(fields=fields):
                return JsonResponse({"error": "INVALID", "fields": dict(fields or {})}, status=422)
            case BrokerUnavailable():
                # The job may have been sent or not, so the number may be called again only after the pause.
                headers = {"Retry-After": str(COOL_DOWN_SECONDS)}
                return JsonResponse({"error": "UNAVAILABLE"}, status=503, headers=headers)
            case Unknown():
                return JsonResponse({"error": "UNKNOWN"}, status=404)
        return None

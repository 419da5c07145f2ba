"""Addresses of the site."""

from django.urls import path

from signup import views

urlpatterns = [
    path("sign-ups", views.start),
    path("sign-ups/<name>", views.show),
    path("sign-ups/<name>/check", views.check),
    path("sign-ups/<name>/call", views.call_again),
]

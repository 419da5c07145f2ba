"""Tests of the stand-in provider."""

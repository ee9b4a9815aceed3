"""Who may ask at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView


class SignedIn(IsAuthenticated):
    """People and programs who said who they are. What they may do, each door asks.

    A name with a NUL is nobody's: the database could not even be asked for it.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        allowed = super().has_permission(request, view)
        if allowed and any("\0" in str(name) for name in view.kwargs.values()):
            raise NotFound("There is nothing called so.")
        return allowed

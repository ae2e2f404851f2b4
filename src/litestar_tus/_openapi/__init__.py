"""What the application's OpenAPI schema says of the endpoints."""

from litestar_tus._openapi._offer import Offer
from litestar_tus._openapi._operations import COLLECTION, RESOURCE, Described

__all__ = ["COLLECTION", "RESOURCE", "Described", "Offer"]

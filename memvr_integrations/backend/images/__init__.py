"""Every way an image comes in, each within its limits."""

from memvr_integrations.backend.images.pages import pdf_pages
from memvr_integrations.backend.images.pdf import is_pdf, page_of
from memvr_integrations.backend.images.sources import (
    DEFAULT_POLICY,
    ImageSource,
    encoded_image,
    load_image,
    path_or_data,
    pixel_hash,
    read_image,
)
from memvr_integrations.types.image_policy import ImagePolicy

__all__ = [
    "DEFAULT_POLICY",
    "ImagePolicy",
    "ImageSource",
    "encoded_image",
    "is_pdf",
    "load_image",
    "page_of",
    "path_or_data",
    "pdf_pages",
    "pixel_hash",
    "read_image",
]

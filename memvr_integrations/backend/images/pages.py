"""All pages of a PDF file, as paths that every door takes for pictures."""

from pathlib import Path

from memvr_integrations.backend.images.pdf import count_pages, page_path
from memvr_integrations.backend.images.sources import DEFAULT_POLICY, read_file
from memvr_integrations.errors import ImageError
from memvr_integrations.types.image_policy import ImagePolicy


def pdf_pages(file: str | Path, policy: ImagePolicy = DEFAULT_POLICY) -> list[Path]:
    """The pages of a PDF, in order: `Path("report.pdf#page=1")` and so on; none is rendered yet.

    Raises:
        ImageError: It is encrypted, damaged, empty, too large, or has more than
            `policy.max_pages` pages.
    """
    name = f"file {str(file)[:200]!r}"
    count = count_pages(read_file(Path(file), policy), name)
    if count > policy.max_pages:
        raise ImageError(
            f"{name} has {count} pages, above max_pages={policy.max_pages}; name the pages that "
            f"you mean ({Path(file).name}#page=1), or raise ImagePolicy.max_pages"
        )
    return [page_path(file, number) for number in range(1, count + 1)]

"""The scan as a page: what people look at before they open the mapping."""

from pathlib import Path

from transforms.scan.model import Scan


__all__ = ["page"]


def page(site: str, scan: Scan) -> str:
    """Return the page about a site's inbox; it holds what `Scan.plain` may say and no more."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html", "j2")),
        trim_blocks=True,
    )
    return environment.get_template("page.html.j2").render(site=site, scan=scan.plain()) + "\n"

"""Directives for pictures that have a variant for each theme and width of the window.

Beside `picture.webp`, the light one, lie `picture_dark.webp` and, where the picture is
too wide for a phone, `picture_narrow.webp` and `picture_narrow_dark.webp`. All stand in
the page, the style sheet shows the one that fits, and only that one is loaded.
"""

from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.directives.patches import Figure

from figures import SHARPNESS


def setup(app):
    app.add_directive("pictures", Pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Pictures(Figure):
    """A figure with all variants of its picture."""

    def run(self):
        """Replace the one image of an ordinary figure."""
        figure, *others = super().run()
        if isinstance(figure, nodes.figure):
            image = figure.next_node(nodes.image)
            env = self.state.document.settings.env
            image.replace_self(variants(env, image["uri"], image["alt"]))
        return [figure, *others]


def variants(env, uri, alt):
    """Return the images of all variants that exist."""
    light = Path(env.relfn2path(uri)[1])
    images = []
    for width in ("", "_narrow"):
        for theme in ("", "_dark"):
            file = light.with_stem(light.stem + width + theme)
            env.note_dependency(file)
            if file.exists():
                images.append(
                    nodes.image(
                        uri=Path(uri).with_name(file.name).as_posix(),
                        alt=alt,
                        classes=[f"only{theme or '_light'}".replace("_", "-")],
                        loading="lazy",
                        **size(file),
                    )
                )
                images[-1]["classes"].append("narrow" if width else "wide")
    if len(images) <= 2:
        for image in images:
            image["classes"].remove("wide")
    return images


def size(file):
    """Return the size at which a picture is shown."""
    with Image.open(file) as image:
        width, height = image.size
    return {"width": str(width // SHARPNESS), "height": str(height // SHARPNESS)}

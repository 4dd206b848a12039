"""Rearrange a figure for the column of a phone, its type as large as before."""

from matplotlib.gridspec import GridSpec

WIDTH = 3.6
COLUMNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 10: 5}
"""In how many columns panels stand that stood in three and more."""
DETAILED = 250
"""Pictures of more pixels across take the whole width, each."""
TITLE, BAR, PLOT_HEIGHT = 0.3, 0.65, 2.7


def narrow(figure):
    """Make a figure at most `WIDTH` inches wide, and tell whether it was wider."""
    width, height = figure.get_size_inches()
    if width <= WIDTH:
        return False
    panels = [ax for ax in figure.axes if ax.get_subplotspec()]
    if figure.get_layout_engine() is None or not panels:
        figure.set_size_inches(WIDTH, height * WIDTH / width)
        return True
    bars = len(figure.axes) > len(panels)
    rows = break_rows(panels)
    columns = max(map(len, rows))
    panel = (WIDTH - BAR * bars) / columns
    if any(ax.get_aspect() == "auto" for ax in panels):
        heights = [PLOT_HEIGHT] * len(rows)
    else:
        heights = [panel * max(map(proportion, row)) + TITLE for row in rows]
    grid = GridSpec(len(rows), columns, figure=figure, height_ratios=heights)
    for number, row in enumerate(rows):
        for column, ax in enumerate(row):
            ax.set_subplotspec(grid[number, column])
            ax.set_in_layout(True)
            shrink(ax.title, panel)
    figure.set_size_inches(WIDTH, sum(heights))
    figure.set_layout_engine("compressed", w_pad=0.04, h_pad=0.04, wspace=0, hspace=0)
    return True


def proportion(ax):
    """Return the height of a panel by its width."""
    box = ax.get_window_extent()
    return box.height / box.width


def shrink(title, width):
    """Make a title as small as it must be to stand over a panel."""
    size = 72 * width / (0.58 * max(len(title.get_text()), 1))
    title.set_fontsize(min(title.get_fontsize(), size))


def break_rows(panels):
    """Return the panels in rows that are short enough; no row holds parts of two."""
    columns = max(ax.get_gridspec().ncols for ax in panels)
    longest = COLUMNS.get(columns, min(columns, 5))
    if any(i.get_size()[1] > DETAILED for ax in panels for i in ax.images):
        longest = 1
    rows = {}
    for ax in panels:
        rows.setdefault(ax.get_subplotspec().rowspan.start, []).append(ax)
    return [
        row[first : first + longest]
        for row in rows.values()
        for first in range(0, len(row), longest)
    ]

using System.Globalization;
using System.Text;

namespace Scuse.Bench.Peers;

/// <summary>The ratios to tgt as a picture: a bar for each line, a mark at what is asked.</summary>
static class Plot
{
    const int LabelWidth = 330, BarWidth = 480, LineHeight = 26, BarHeight = 16, Top = 44, Bottom = 34;
    const string Scuse = "#2f6fab", Short = "#c05a2e", Asked = "#222222", Grid = "#d8d8d8";

    /// <summary>The picture as SVG; null when nothing was measured that it could show.</summary>
    public static string? Draw(Results results)
    {
        Work[] works = [.. results.Works];
        if (works.Length == 0)
        {
            return null;
        }

        double most = Math.Ceiling(works.Max(work => Math.Max(results.Ratio(work), work.Ratio ?? 0)) + 0.5);
        int height = Top + (works.Length * LineHeight) + Bottom, width = LabelWidth + BarWidth + 70, bottom = height - Bottom;
        double X(double ratio) => LabelWidth + (ratio / most * BarWidth);
        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n<text x=\"10\" y=\"22\" font-size=\"15\">How many times as fast as tgt (tgt = 1)</text>\n");
        for (int ratio = 0; ratio <= most; ratio++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(ratio):0.0}\" y1=\"{Top - 6}\" x2=\"{X(ratio):0.0}\" y2=\"{bottom}\" stroke=\"{(ratio == 1 ? Asked : Grid)}\"/>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(ratio):0.0}\" y=\"{bottom + 16}\" text-anchor=\"middle\">{ratio}</text>\n");
        }

        foreach ((int i, Work work) in works.Index())
        {
            int y = Top + (i * LineHeight);
            double ratio = results.Ratio(work);
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{LabelWidth - 8}\" y=\"{y + 13}\" text-anchor=\"end\">{work.Name}</text>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{LabelWidth}\" y=\"{y}\" width=\"{X(ratio) - LabelWidth:0.0}\" height=\"{BarHeight}\" fill=\"{(results.Holds(work) ? Scuse : Short)}\"/>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(ratio) + 5:0.0}\" y=\"{y + 13}\">{ratio:0.0}</text>\n");
            if (work.Ratio is { } asked)
            {
                svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(asked):0.0}\" y1=\"{y - 3}\" x2=\"{X(asked):0.0}\" y2=\"{y + BarHeight + 3}\" stroke=\"{Asked}\" stroke-width=\"2\"/>\n");
            }
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{LabelWidth}\" y=\"{bottom + 30}\">black mark: what is asked; orange: not reached, nor the initiator's ceiling</text>\n</svg>\n");
        return svg.ToString();
    }
}

namespace Scuse.Cli.Kernel;

/// <summary>What <c>scuse kernel create</c> is told to have served: a built-in handler's spec, or a configuration as the kernel has it.</summary>
static class BackstoreSpec
{
    const string SubtypePrefix = "scuse-";

    /// <summary>The configuration for the kernel, and the capacity in bytes where the spec says it.</summary>
    /// <exception cref="FormatException">A built-in handler would refuse it.</exception>
    public static (string Config, long? SizeBytes) Parse(string spec, string folder)
    {
        int colon = spec.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? spec : spec[..colon];
        if (!BuiltInHandlers.IsKind(kind))
        {
            return (spec, null);
        }

        string text = colon < 0 ? "" : spec[(colon + 1)..];
        if (kind == "file" && text.Length > 0)
        {
            text = Path.GetFullPath(text, folder); // the handler runs elsewhere
        }

        BuiltInHandlers.Check(kind, text);
        string[] parts = text.Split('?', 2);
        string? stated = kind == "file"
            ? parts.ElementAtOrDefault(1)?.Split('&').Where(static option => option.StartsWith("size=", StringComparison.Ordinal)).Select(static option => option["size=".Length..]).FirstOrDefault()
            : parts[0];
        return ($"{SubtypePrefix}{kind}/{text}", SizeText.TryParse(stated ?? "", out long size) ? size : null);
    }
}

using System.Globalization;
using Scuse.Engine;
using Scuse.Target;

namespace Scuse.Cli.Serving;

/// <summary>
/// The options of a logical unit that are the engine's business, whatever its handler: from the command line for all, or in a spec for one. They are
/// taken out of what the handler gets to see.
/// </summary>
sealed record EngineSpecOptions
{
    public const string Usage = "level=io|all, timeout=SECONDS, qfull=SECONDS|-1, loss=hold|busy|fail, data=SIZE, stale=0|1, count=N, pool=NAME";

    const int MaxSeconds = 1_000_000;
    const long LargestDataArea = 1L << 40;

    /// <summary>The pass level; null leaves it to the handler.</summary>
    public PassLevel? Level { get; init; }

    /// <summary>The kernel's cmd_time_out.</summary>
    public int TimeoutSeconds { get; init; } = 30;

    /// <summary>The kernel's qfull_time_out.</summary>
    public int QueueFullSeconds { get; init; } = -1;

    /// <summary>What becomes of commands while there is no handler.</summary>
    public HandlerLossPolicy Loss { get; init; }

    /// <summary>The most memory of the data area, in bytes.</summary>
    public long DataAreaBytes { get; init; } = 256L << 20;

    /// <summary>Whether Data-In blocks may come to the handler with another nexus's bytes in them.</summary>
    public bool AllowStale { get; init; }

    /// <summary>How many logical units the spec stands for.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Logical units of the same pool share a handler process.</summary>
    public string? Pool { get; init; }

    /// <summary>Takes these options out of a spec's text: <c>MAIN?key=value&amp;...</c>. What is not given is as here.</summary>
    /// <returns>The text that is left for the handler, and the options.</returns>
    /// <exception cref="FormatException">A value is wrong.</exception>
    public (string Text, EngineSpecOptions Options) TakeFrom(string text)
    {
        int mark = text.IndexOf('?', StringComparison.Ordinal);
        if (mark < 0)
        {
            return (text, this);
        }

        EngineSpecOptions options = this;
        List<string> others = [];
        foreach (string option in text[(mark + 1)..].Split('&'))
        {
            int equals = option.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0 && options.With(option[..equals], option[(equals + 1)..]) is { } changed)
            {
                options = changed;
            }
            else
            {
                others.Add(option);
            }
        }

        return (others.Count == 0 ? text[..mark] : $"{text[..mark]}?{string.Join('&', others)}", options);
    }

    /// <summary>These options with one changed; null when the key is none of them.</summary>
    /// <exception cref="FormatException">The value is wrong.</exception>
    public EngineSpecOptions? With(string key, string value) => key switch
    {
        "level" => this with
        {
            Level = value switch
            {
                "io" => PassLevel.Io,
                "all" => PassLevel.All,
                _ => throw new FormatException($"level '{value}' is neither io nor all"),
            },
        },
        "timeout" => this with { TimeoutSeconds = Number(key, value, 0, MaxSeconds) },
        "qfull" => this with { QueueFullSeconds = Number(key, value, -1, MaxSeconds) },
        "loss" => this with
        {
            Loss = value switch
            {
                "hold" => HandlerLossPolicy.Hold,
                "busy" => HandlerLossPolicy.Busy,
                "fail" => HandlerLossPolicy.Fail,
                _ => throw new FormatException($"loss '{value}' is none of hold, busy and fail"),
            },
        },
        "data" => this with { DataAreaBytes = Size(key, value) },
        "stale" => this with { AllowStale = Number(key, value, 0, 1) == 1 },
        "count" => this with { Count = Number(key, value, 1, TargetOptions.MaxLuns) },
        "pool" => this with { Pool = value.Length > 0 ? value : throw new FormatException("pool '' is not a name") },
        _ => null,
    };

    /// <summary>A logical unit with these options.</summary>
    public LunOptions ApplyTo(LunOptions lun) => lun with
    {
        Level = Level,
        CommandTimeoutMs = TimeoutSeconds * 1000,
        QueueFullTimeoutMs = QueueFullSeconds < 0 ? -1 : QueueFullSeconds * 1000,
        OnHandlerLoss = Loss,
        DataAreaBytes = DataAreaBytes,
        AllowStaleDataIn = AllowStale,
        Pool = Pool,
    };

    static int Number(string key, string value, int least, int most) =>
        int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most
            ? number
            : throw new FormatException($"{key} '{value}' is not a number from {least} to {most}");

    static long Size(string key, string value) =>
        SizeText.Parse(value) is var bytes and >= 1 << 20 and <= LargestDataArea
            ? bytes
            : throw new FormatException($"{key} '{value}' is not a size from 1M to {SizeText.Format(LargestDataArea)}");
}

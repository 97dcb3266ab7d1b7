using System.Globalization;
using Scuse.Iscsi;

namespace Scuse.Cli.Serving;

/// <summary>A limit of the iSCSI side, as the command line writes it: <c>NAME=VALUE</c>. docs/threat-model.md says what each keeps.</summary>
static class LimitSpec
{
    public const string Usage = "NAME=VALUE";

    const int MaxSeconds = 86_400;
    const int LargestSegment = (1 << 24) - 1; // RFC 7143 section 13.12

    static readonly (string Name, Func<IscsiOptions, string, IscsiOptions> Set)[] s_limits =
    [
        ("sessions", static (options, value) => options with { MaxSessions = (int)Number(value, 1, ushort.MaxValue) }),
        ("connections", static (options, value) => options with { MaxConnections = (int)Number(value, 1, 1_000_000) }),
        ("session-connections", static (options, value) => options with { MaxConnectionsPerSession = (int)Number(value, 1, ushort.MaxValue) }),
        ("logins", static (options, value) => options with { MaxConnectionsInLogin = (int)Number(value, 1, 1_000_000) }),
        ("logins-per-second", static (options, value) => options with { LoginsPerSecond = (int)Number(value, 0, 1_000_000) }),
        ("login-seconds", static (options, value) => options with { LoginTimeoutMs = (int)Number(value, 1, MaxSeconds) * 1000 }),
        ("output-seconds", static (options, value) => options with { OutputTimeoutMs = (int)Number(value, 1, MaxSeconds) * 1000 }),
        ("segment", static (options, value) => options with { MaxRecvDataSegmentLength = (int)Size(value, 512, LargestSegment) }),
        ("burst", static (options, value) => options with { MaxBurstLength = (int)Size(value, 512, LargestSegment) }),
        ("first-burst", static (options, value) => options with { FirstBurstLength = (int)Size(value, 512, LargestSegment) }),
        ("r2ts", static (options, value) => options with { MaxOutstandingR2T = (int)Number(value, 1, 1024) }),
        ("commands", static (options, value) => options with { CommandWindow = (int)Number(value, 1, 65536) }),
        ("buffers", static (options, value) => options with { MaxBufferedBytes = Size(value, 1 << 20, 1L << 40) }),
    ];

    /// <summary>The names there are, for the help.</summary>
    public static string Names => string.Join(", ", s_limits.Select(static limit => limit.Name));

    /// <summary>The options with one limit changed.</summary>
    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static IscsiOptions Apply(IscsiOptions options, string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        int index = equals < 1 ? -1 : Array.FindIndex(s_limits, limit => limit.Name == text[..equals]);
        if (index < 0)
        {
            throw new FormatException($"limit '{text}' is not {Usage} with one of {Names}");
        }

        try
        {
            return s_limits[index].Set(options, text[(equals + 1)..]);
        }
        catch (FormatException exception)
        {
            throw new FormatException($"limit {text}: {exception.Message}", exception);
        }
    }

    static long Number(string text, long least, long most) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
        ? Within(number, least, most)
        : throw new FormatException($"'{text}' is no number");

    static long Size(string text, long least, long most) => Within(SizeText.Parse(text), least, most);

    static long Within(long number, long least, long most) =>
        number >= least && number <= most ? number : throw new FormatException($"from {least} to {most} is allowed");
}

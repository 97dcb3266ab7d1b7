using Scuse.Iscsi.Moving;

namespace Scuse.Cli.Serving;

/// <summary>Where initiators are sent, as the command line and the control interface write it.</summary>
static class RedirectionSpec
{
    public const string Usage = "ADDRESS[:PORT][,TAG]";

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static TargetRedirection Parse(string text, bool isPermanent) =>
        TargetRedirection.Parse(text) is { } to
            ? to with { IsPermanent = isPermanent }
            : throw new FormatException($"'{text}' is not {Usage}, such as 192.0.2.7, disks.example:3261 or [2001:db8::1]:3260,2");

    /// <exception cref="FormatException">So many cannot be said; the message is one line for a person.</exception>
    public static int CheckSeconds(int seconds) =>
        seconds is >= 0 and <= ushort.MaxValue ? seconds : throw new FormatException($"{seconds} seconds are not from 0 to {ushort.MaxValue}");
}

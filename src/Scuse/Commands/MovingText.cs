using Scuse.Cli.Control;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary>Where a target sends its initiators, for people.</summary>
static class MovingText
{
    public static string Of(MovingStatus moving)
    {
        string sessions = moving.Sessions == 1 ? "1 session" : $"{moving.Sessions} sessions";
        string where = (moving.Redirection, moving.IsDraining) switch
        {
            ({ } to, _) => $"new sessions are sent to {to.Address} {(to.IsPermanent ? "for good" : "for now")}",
            (null, true) => "new sessions are refused",
            _ => "new sessions are taken",
        };
        string there = (moving.IsDraining, moving.Sessions, moving.DrainSecondsLeft) switch
        {
            (false, _, _) => $"{sessions} here",
            (_, 0, _) => "nobody is here any more",
            (_, _, > 0) => $"{sessions} here, with {moving.DrainSecondsLeft} s to log out",
            _ => $"{sessions} here, about to be dropped",
        };
        return $"{where}; {there}";
    }

    /// <summary>Writes what the control interface has answered.</summary>
    public static void Say(string text, bool asJson)
    {
        if (asJson)
        {
            Console.Write(text);
            return;
        }

        foreach (MovingStatus moving in ControlClient.Parse(text, ControlJson.Default.IReadOnlyListMovingStatus))
        {
            Report.Line($"{moving.Target}: {Of(moving)}");
        }
    }
}

using System.Globalization;

namespace Scuse.Peers;

/// <summary>
/// Whether tests run in their long form, which <c>tests/Endurance/run</c> asks for with SCUSE_ENDURANCE: how often. Then the machine is ours, and times count; otherwise others may be at work
/// beside us.
/// </summary>
static class LongForm
{
    static readonly int? s_times = int.TryParse(Environment.GetEnvironmentVariable("SCUSE_ENDURANCE"), CultureInfo.InvariantCulture, out int times) ? times : null;

    public static bool IsAsked => s_times is not null;

    /// <summary>How often something is done: as asked, or in the short form as given.</summary>
    public static int Times(int shortForm) => s_times ?? shortForm;
}

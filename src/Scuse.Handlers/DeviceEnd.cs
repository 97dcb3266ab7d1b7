using Scuse.Serving;

namespace Scuse;

/// <summary>How one device's life in this process ended.</summary>
enum DeviceEnd
{
    /// <summary>In order.</summary>
    Orderly,

    /// <summary>It could not be attached, opened or closed, or the target broke a rule.</summary>
    Failed,

    /// <summary>Commands of it never ended: they may still write, so the process has to go at once, and the device is not closed.</summary>
    Hung,
}

/// <summary>What is done at a device's end, whoever its commands came from.</summary>
static class DeviceEnds
{
    /// <summary>Closes what served it, if it came so far; how it ended then.</summary>
    internal static async Task<DeviceEnd> CloseAsync(this DeviceEnd end, CommandServer? server, ErrorLog log, string what)
    {
        if (server is null)
        {
            return end;
        }

        try
        {
            await server.CloseAsync().ConfigureAwait(false);
            return end;
        }
        catch (Exception failure)
        {
            log.Line($"{what} failed: {ErrorLog.OneLine(failure.Message)}");
            return DeviceEnd.Failed;
        }
    }
}

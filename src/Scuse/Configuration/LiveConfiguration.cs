using Scuse.Engine;
using Scuse.Engine.Management;

namespace Scuse.Cli.Configuration;

/// <summary>What a running engine was told, and how it is told more.</summary>
sealed class LiveConfiguration(EngineConfiguration started, EngineManagement management)
{
    /// <summary>What takes effect while the engine runs; all else waits for its next start.</summary>
    public static readonly string[] LiveMembers = ["targets", "chapFile", "initiators", "allowAnyone", "commandTimeout", "qfullTimeout", "onLoss", "dataArea"];

    readonly ServeSettings _started = started.Settings;
    volatile EngineConfiguration _current = started;

    /// <summary>Adds a target until the engine ends, or reads its file again.</summary>
    /// <exception cref="FormatException">Something is wrong with it; the message is one line for a person.</exception>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was.</exception>
    public Task<TargetStatus> AddAsync(TargetSettings settings) => management.AddTargetAsync(_current.TargetOf(settings));

    /// <summary>Reads the file again, and makes the targets what they are there.</summary>
    /// <param name="force">Even if initiators are logged in to a target that is to go.</param>
    /// <exception cref="EngineException">Something is wrong with the file, and nothing was done; the message is for the operator.</exception>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was.</exception>
    public async Task<Reconfiguration> ReloadAsync(bool force)
    {
        EngineConfiguration next;
        try
        {
            next = _current.Again();
        }
        catch (FormatException exception)
        {
            throw new EngineException(exception.Message, exception);
        }

        Reconfiguration done = await management.ReconfigureAsync(next.Options, force);
        _current = next;
        return done with { NeedsRestart = [.. next.Settings.DifferencesFrom(_started).Except(LiveMembers), .. done.NeedsRestart] };
    }
}

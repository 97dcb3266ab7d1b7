using Scuse.Engine;

namespace Scuse.Cli;

/// <summary>How this program is started once more, as a handler.</summary>
static class Self
{
    /// <summary>This program with other arguments: through the runtime when that is how it was started.</summary>
    public static HandlerLaunch Launch(params IEnumerable<string> arguments)
    {
        string program = Environment.ProcessPath ?? throw new EngineException("the path of this program is unknown");
        bool isRuntime = Path.GetFileNameWithoutExtension(program) == "dotnet";
        return isRuntime
            ? new HandlerLaunch(program, [Path.Combine(AppContext.BaseDirectory, "scuse.dll"), .. arguments])
            : new HandlerLaunch(program, [.. arguments]);
    }
}

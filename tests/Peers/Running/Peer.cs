using System.Diagnostics;
using System.Text;

namespace Scuse.Peers;

/// <summary>What a finished program left behind.</summary>
sealed record Outcome(string CommandLine, int ExitCode, string Output, string Error, TimeSpan Elapsed)
{
    /// <summary>Everything the program wrote, for a message.</summary>
    public string Text => $"$ {CommandLine}\n{Output}{Error}exit code {ExitCode} after {Elapsed.TotalSeconds:0.0} s";

    /// <summary>This outcome, when the program said that all went well.</summary>
    /// <exception cref="PeerException">The program ended with another exit code than zero.</exception>
    public Outcome OrThrow() => ExitCode == 0 ? this : throw new PeerException(Text);
}

/// <summary>A program did not do what was asked; the message holds its command line and everything it wrote.</summary>
sealed class PeerException(string message) : Exception(message);

/// <summary>Runs other people's programs with a deadline.</summary>
static class Peer
{
    static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(60);

    /// <summary>Whether a program of this name is on the PATH.</summary>
    public static bool Exists(string program) => Find(program) is not null;

    /// <summary>Runs a program to its end; one that is still running at the deadline is killed.</summary>
    /// <exception cref="PeerException">The program could not be started or did not end in time.</exception>
    public static Task<Outcome> RunAsync(string program, params string[] arguments) => RunAsync(DefaultDeadline, program, arguments);

    /// <summary>Runs a program to its end; one that is still running at <paramref name="deadline"/> is killed.</summary>
    /// <exception cref="PeerException">The program could not be started or did not end in time.</exception>
    public static async Task<Outcome> RunAsync(TimeSpan deadline, string program, params string[] arguments)
    {
        using RunningPeer running = RunningPeer.Start(program, arguments);
        return await running.WaitAsync(deadline);
    }

    /// <summary>The full path of a program, looked for on the PATH and where system programs live.</summary>
    public static string? Find(string program)
    {
        if (program.Contains('/'))
        {
            return File.Exists(program) ? program : null;
        }

        string path = Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin";
        return $"{path}:/usr/sbin:/sbin".Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);
    }
}

/// <summary>A program that was started and has not been waited for yet.</summary>
sealed class RunningPeer : IDisposable
{
    readonly Process _process;
    readonly Stopwatch _clock = Stopwatch.StartNew();
    readonly StringBuilder _output = new();
    readonly StringBuilder _error = new();
    readonly string _commandLine;

    RunningPeer(Process process, string commandLine)
    {
        _process = process;
        _commandLine = commandLine;
        process.OutputDataReceived += (_, line) => Append(_output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(_error, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Where the program reads its commands from.</summary>
    public StreamWriter Input => _process.StandardInput;

    /// <summary>What the program wrote to standard output up to now.</summary>
    public string OutputSoFar => OutputAfter(0);

    /// <summary>What the program wrote to standard output up to now, without the first <paramref name="characters"/>.</summary>
    public string OutputAfter(int characters)
    {
        lock (_output)
        {
            return _output.ToString(characters, _output.Length - characters);
        }
    }

    /// <summary>The first line on standard output, as soon as it is there.</summary>
    /// <exception cref="PeerException">It does not come within 30 seconds.</exception>
    public async Task<string> FirstLineAsync()
    {
        for (int i = 0; i < 600; i++)
        {
            if (OutputSoFar is { } text && text.Contains('\n'))
            {
                return text[..text.IndexOf('\n')];
            }

            await Task.Delay(50);
        }

        throw new PeerException($"$ {_commandLine}\n{OutputSoFar}{Text(_error)}no line on standard output within 30 s");
    }

    public static RunningPeer Start(string program, params string[] arguments) => Start(program, arguments, null, null);

    /// <exception cref="PeerException">There is no such program, or it could not be started.</exception>
    public static RunningPeer Start(
        string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment, string? workingDirectory)
    {
        ProcessStartInfo start = new(Peer.Find(program) ?? throw new PeerException($"There is no program {program} on this machine."), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingDirectory ?? Path.GetTempPath(),
        };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        string commandLine = string.Join(' ', [program, .. start.ArgumentList]);
        Process process = Process.Start(start) ?? throw new PeerException($"Could not start {commandLine}.");
        return new RunningPeer(process, commandLine);
    }

    /// <summary>Waits for the end of the program.</summary>
    /// <exception cref="PeerException">It was still running at the deadline, and was killed.</exception>
    public async Task<Outcome> WaitAsync(TimeSpan deadline)
    {
        using CancellationTokenSource late = new(deadline);
        try
        {
            await _process.WaitForExitAsync(late.Token);
        }
        catch (OperationCanceledException)
        {
            ProcessTree.Kill(Id);
            await _process.WaitForExitAsync();
            throw new PeerException($"$ {_commandLine}\n{OutputSoFar}{Text(_error)}was still running after {deadline.TotalSeconds:0} s");
        }

        return new Outcome(_commandLine, _process.ExitCode, OutputSoFar, Text(_error), _clock.Elapsed);
    }

    /// <summary>Kills the program if it still runs.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            ProcessTree.Kill(Id);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    static void Append(StringBuilder to, string? line)
    {
        lock (to)
        {
            if (line is not null)
            {
                to.Append(line).Append('\n');
            }
        }
    }

    static string Text(StringBuilder builder)
    {
        lock (builder)
        {
            return builder.ToString();
        }
    }
}

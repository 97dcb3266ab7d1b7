using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Scuse.Peers;

/// <summary>A handler that attached, as the engine's log tells: which LUN, of which target where there are several, which handler, which process, and when the line was read.</summary>
readonly record struct Attached(int Lun, string Target, string Handler, int Pid, TimeSpan At);

/// <summary>A running <c>scuse serve</c>.</summary>
sealed partial class ScuseServe : IDisposable
{
    static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(30);

    readonly Process _process;
    readonly int _pid;
    readonly Stopwatch _clock = Stopwatch.StartNew();
    readonly ConcurrentQueue<string> _log = new();
    readonly ConcurrentQueue<Attached> _attached = new();
    readonly List<string> _urls = [];
    readonly TaskCompletionSource<string[]> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly int _expectedUrls;

    ScuseServe(Process process, int expectedUrls)
    {
        _process = process;
        _pid = process.Id;
        _expectedUrls = expectedUrls;
        process.OutputDataReceived += (_, line) => OnOutput(line.Data);
        process.ErrorDataReceived += (_, line) => OnError(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>The dll of the command, as the same build made it, or what SCUSE_DLL names.</summary>
    public static string Dll { get; } = Environment.GetEnvironmentVariable("SCUSE_DLL") ?? FindDll("Scuse", "src/Scuse", "scuse.dll");

    public int Pid => _pid;

    /// <summary>One URL for each LUN, LUN 0 first.</summary>
    public string[] Urls { get; private set; } = [];

    /// <summary>The URL of LUN 0.</summary>
    public string Url => Urls[0];

    /// <summary>HOST:PORT of the portal.</summary>
    public string Portal => Url.Split('/')[2];

    public string PortalUrl => $"iscsi://{Portal}";

    public int Port => int.Parse(Portal[(Portal.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);

    public string Target => Url.Split('/')[3];

    /// <summary>Everything on standard error up to now.</summary>
    public string Log => string.Concat(_log.Select(line => line + "\n"));

    public IReadOnlyList<string> LogLines => [.. _log];

    /// <summary>Every attachment of a handler that the log told up to now.</summary>
    public IReadOnlyList<Attached> Attachments => [.. _attached];

    /// <summary>Time since this engine was started; the clock of <see cref="Attached.At"/>.</summary>
    public TimeSpan Now => _clock.Elapsed;

    /// <summary>Starts the engine on a free port unless <c>--portal</c> is among the arguments, and waits for its URLs.</summary>
    /// <exception cref="PeerException">It ended, or said nothing within the deadline; the message holds its log.</exception>
    public static async Task<ScuseServe> StartAsync(IReadOnlyList<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        int config = arguments.ToList().IndexOf("--config");
        int specs = config < 0 ? arguments.Count(argument => Spec().IsMatch(argument)) : Spec().Count(await File.ReadAllTextAsync(arguments[config + 1]));
        ScuseServe serve = new(StartProcess(arguments, environment), Math.Max(specs, 1));
        Task first = await Task.WhenAny(serve._ready.Task, serve._process.WaitForExitAsync(), Task.Delay(StartDeadline));
        if (first != serve._ready.Task)
        {
            string how = serve._process.HasExited ? $"ended with exit code {serve._process.ExitCode}" : $"printed no URL within {StartDeadline.TotalSeconds:0} s";
            serve.Dispose();
            throw new PeerException($"$ scuse serve {string.Join(' ', arguments)}\n{serve.Log}{how}");
        }

        serve.Urls = await serve._ready.Task;
        return serve;
    }

    /// <summary>Runs the command to its end, whatever its arguments.</summary>
    public static Task<Outcome> RunAsync(TimeSpan deadline, params string[] arguments) => Peer.RunAsync(deadline, "dotnet", [Dll, .. arguments]);

    /// <summary>Where a project's program is, next to the running one: in a common artifacts folder or in each project's bin.</summary>
    public static string FindDll(string project, string projectFolder, string file)
    {
        DirectoryInfo mine = new(AppContext.BaseDirectory.TrimEnd('/'));
        List<string> candidates = [Path.Combine(mine.Parent!.Parent!.FullName, project, mine.Name, file)];
        for (DirectoryInfo? folder = mine; folder is not null; folder = folder.Parent)
        {
            // bin/CONFIGURATION/FRAMEWORK below the project's own folder.
            candidates.Add(Path.Combine(folder.FullName, projectFolder, "bin", mine.Parent.Name, mine.Name, file));
        }

        return candidates.Find(File.Exists) ?? candidates[0];
    }

    /// <summary>Standard error has a text in it, or gets it soon: initiators have their answers before the engine writes of them.</summary>
    /// <exception cref="PeerException">It does not come.</exception>
    public async Task MustLogAsync(string text, double seconds = 30)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (!Log.Contains(text, StringComparison.Ordinal))
        {
            if (clock.Elapsed.TotalSeconds > seconds)
            {
                throw new PeerException($"No '{text}' on standard error within {seconds} s\n{Log}");
            }

            await Task.Delay(10);
        }
    }

    /// <summary>Waits until there have been so many attachments, to whichever LUNs.</summary>
    /// <exception cref="PeerException">They do not come in time.</exception>
    public async Task WaitForAttachmentsAsync(int count, double seconds)
    {
        var clock = Stopwatch.StartNew();
        while (_attached.Count < count)
        {
            if (clock.Elapsed.TotalSeconds > seconds)
            {
                throw new PeerException($"{_attached.Count} of {count} attachments within {seconds} s\n{Log}");
            }

            await Task.Delay(50);
        }
    }

    /// <summary>Waits for the <paramref name="count"/>th attachment to a LUN (1 is the first).</summary>
    /// <exception cref="PeerException">It did not come within the deadline.</exception>
    public async Task<Attached> WaitForAttachmentAsync(int lun = 0, int count = 1, double seconds = 30)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            if (_attached.Where(attached => attached.Lun == lun).Skip(count - 1).Take(1).ToArray() is [var found])
            {
                return found;
            }

            await Task.Delay(10);
        }

        throw new PeerException($"No attachment number {count} of a handler to LUN {lun} within {seconds} s\n{Log}");
    }

    /// <summary>The process of the handler that attached to a LUN last.</summary>
    public int HandlerPid(int lun = 0) => _attached.Last(attached => attached.Lun == lun).Pid;

    public void Signal(string name) => ProcessTree.Signal(name, _pid);

    /// <summary>Waits for the end of the engine and tells its exit code.</summary>
    /// <exception cref="PeerException">It was still running at the deadline.</exception>
    public async Task<int> WaitForExitAsync(double seconds = 10)
    {
        using CancellationTokenSource late = new(TimeSpan.FromSeconds(seconds));
        try
        {
            await _process.WaitForExitAsync(late.Token);
            return _process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            throw new PeerException($"The engine still runs after {seconds} s\n{Log}");
        }
    }

    /// <summary>Asks the engine to stop, as an operator would, and tells its exit code.</summary>
    public Task<int> StopAsync(string signal = "TERM")
    {
        Signal(signal);
        return WaitForExitAsync();
    }

    /// <summary>Kills the engine and every process it started.</summary>
    public void Dispose()
    {
        ProcessTree.Kill(_pid);
        ProcessTree.Signal("KILL", [.. _attached.Select(attached => attached.Pid).Where(ProcessTree.IsAlive)]);
        _process.WaitForExit();
    }

    static Process StartProcess(IReadOnlyList<string> arguments, IReadOnlyDictionary<string, string>? environment)
    {
        if (!File.Exists(Dll))
        {
            throw new PeerException($"{Dll} is not there: build the solution, or name the command's dll in SCUSE_DLL.");
        }

        // A session of its own, so that everything it starts can be found and ended again.
        string[] portal = arguments.Contains("--portal") ? [] : ["--portal", "127.0.0.1:0"];
        string[] reactors = Environment.GetEnvironmentVariable("SCUSE_TEST_REACTORS") is { Length: > 0 } count && !arguments.Contains("--reactors") ? ["--reactors", count, .. Environment.GetEnvironmentVariable("SCUSE_TEST_SPREAD") == "1" ? ["--spread"] : Array.Empty<string>()] : [];
        ProcessStartInfo start = new("setsid", ["dotnet", Dll, "serve", .. arguments, .. portal, .. reactors])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        return Process.Start(start) ?? throw new PeerException("setsid could not be started.");
    }

    void OnOutput(string? line)
    {
        if (line is null || !line.StartsWith("iscsi://", StringComparison.Ordinal))
        {
            return;
        }

        _urls.Add(line.Trim());
        if (_urls.Count == _expectedUrls)
        {
            _ready.TrySetResult([.. _urls]);
        }
    }

    void OnError(string? line)
    {
        if (line is null)
        {
            return;
        }

        if (AttachedLine().Match(line) is { Success: true } match)
        {
            _attached.Enqueue(new Attached(Number(match, 2), match.Groups[1].Value, match.Groups[3].Value, Number(match, 4), _clock.Elapsed));
        }

        _log.Enqueue(line);
    }

    static int Number(Match match, int group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("(?<=^|\")(memory|file|exec|attach):")]
    private static partial Regex Spec();

    [GeneratedRegex(@"LUN (?:(\S+)/)?(\d+): handler (\S+) attached \(pid (\d+)\)")]
    private static partial Regex AttachedLine();
}

using System.Globalization;
using System.Runtime.CompilerServices;

namespace Scuse.Kernel;

/// <summary>The handlers of <c>tests/Kernel/Handlers</c> in one program that needs no runtime: the same file runs in the guest, behind its kernel, and on the host, behind the engine.</summary>
static class NativeHandlers
{
    /// <summary>Where it is; skips the test where it has not been built.</summary>
    public static async Task<string> FindAsync()
    {
        Outcome outcome = await Peer.RunAsync(Path.Combine(ThisFolder(), "../Handlers/build"), "--where");
        Assert.SkipUnless(outcome.ExitCode == 0, "needs tests/Kernel/Handlers as one program (gcc, zlib1g-dev): ./test --kernel builds it");
        return outcome.Output.Trim();
    }

    static string ThisFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(thisFile)!;
}

/// <summary>One of those handlers as it runs in the guest.</summary>
sealed class GuestHandler : IAsyncDisposable
{
    public const string Program = "/tmp/kernel-handlers";

    readonly Guest _guest;
    readonly string _log;

    GuestHandler(Guest guest, int pid, string log) => (_guest, Pid, _log) = (guest, pid, log);

    public int Pid { get; }

    /// <summary>Has the program in the guest, and the modules that it is behind.</summary>
    public static async Task PrepareAsync(Guest guest)
    {
        string program = await NativeHandlers.FindAsync();
        await guest.BootAsync();
        string shared = Path.Combine(guest.SharedFolder, "kernel-handlers");
        if (!File.Exists(shared))
        {
            File.Copy(program, shared);
        }

        await guest.MustRunAsync($"modprobe -a target_core_user tcm_loop iscsi_target_mod iscsi_tcp sd_mod sg && {{ cmp -s /host/kernel-handlers {Program} || cp /host/kernel-handlers {Program}; }}");
    }

    /// <summary>Starts one, of the kind memory, file or sparse.</summary>
    public static async Task<GuestHandler> StartAsync(Guest guest, string kind, params string[] options)
    {
        string output = await guest.MustRunAsync($"""
            log=$(mktemp /tmp/{kind}.XXXXXX.log)
            setsid {Program} {kind} --kernel {string.Join(' ', options)} </dev/null >"$log" 2>&1 &
            echo $! "$log"
            for i in $(seq 600); do grep -q 'serving the kernel' "$log" && exit; kill -0 $! || break; sleep 0.1; done
            cat "$log"; exit 1
            """);
        string[] words = output.Split(' ', StringSplitOptions.TrimEntries);
        return new GuestHandler(guest, int.Parse(words[0], CultureInfo.InvariantCulture), words[1]);
    }

    public Task<string> LogAsync() => _guest.MustRunAsync($"cat {_log}");

    /// <summary>Waits for a text in what it wrote.</summary>
    public Task MustLogAsync(string text) =>
        _guest.MustRunAsync($$"""for i in $(seq 600); do grep -qF "{{text}}" {{_log}} && exit; sleep 0.1; done; echo "no such text in:"; cat {{_log}}; exit 1""");

    /// <summary>Sends it a signal: KILL, TERM, STOP or CONT.</summary>
    public Task SignalAsync(string signal) => _guest.MustRunAsync($"kill -{signal} {Pid}");

    /// <summary>Waits for its end.</summary>
    public Task WaitForEndAsync() => _guest.MustRunAsync($"for i in $(seq 600); do [ -e /proc/{Pid} ] || exit 0; sleep 0.1; done; cat {_log}; exit 1");

    public async ValueTask DisposeAsync() => await _guest.RunAsync($"kill -KILL {Pid} 2>/dev/null");
}

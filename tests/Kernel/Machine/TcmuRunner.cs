using System.Globalization;

namespace Scuse.Kernel;

/// <summary>
/// tcmu-runner in the guest, the reference handler of Debian's: it serves raw images as <c>qcow/PATH</c>. When it is disposed of it is gone, and so is its promise to answer the kernel's notices.
/// </summary>
sealed class TcmuRunner : IAsyncDisposable
{
    const string Log = "/var/log/tcmu-runner.log";

    readonly Guest _guest;

    TcmuRunner(Guest guest, int pid) => (_guest, Pid) = (guest, pid);

    public int Pid { get; private set; }

    /// <summary>Starts it, with the bus that it wants; the handlers' program must be in the guest. It serves what there is for it, and answers the kernel's notices from now on.</summary>
    public static async Task<TcmuRunner> StartAsync(Guest guest)
    {
        await guest.MustRunAsync($"pgrep -x dbus-daemon >/dev/null || {{ mkdir -p /run/dbus && dbus-daemon --system --fork; }}; rm -f {Log}");
        var runner = new TcmuRunner(guest, 0);
        await runner.RestartAsync();
        return runner;
    }

    /// <summary>Starts it again after its end.</summary>
    public async Task RestartAsync()
    {
        // It takes its name on the bus when it has looked at everything.
        string output = await _guest.MustRunAsync("""
            setsid tcmu-runner </dev/null >/tmp/tcmu-runner.out 2>&1 &
            for i in $(seq 600); do
                dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetConnectionUnixProcessID string:org.kernel.TCMUService1 2>/dev/null | grep -q "uint32 $!\$" && echo $! && exit
                kill -0 $! || break
                sleep 0.1
            done
            cat /tmp/tcmu-runner.out; exit 1
            """);
        Pid = int.Parse(output, CultureInfo.InvariantCulture);
    }

    /// <summary>Sends it a signal, and waits for its end.</summary>
    public Task EndAsync(string signal) => _guest.MustRunAsync($"kill -{signal} {Pid}; for i in $(seq 600); do [ -e /proc/{Pid} ] || exit 0; sleep 0.1; done; exit 1");

    /// <summary>
    /// What it has complained about since it was started for the first time, but for backstores that are not its own: of each it says that it cannot find a handler for it, and that it does not know it.
    /// </summary>
    public async Task<string> ComplaintsAsync()
    {
        string own = (await _guest.MustRunAsync($"ls -l /proc/{Pid}/fd | sed -n 's#.* /dev/##p' | grep '^uio' | xargs | tr ' ' '|'")).Trim();
        return await _guest.MustRunAsync($"grep -a ERROR {Log} | grep -avP '(handler for|device) (?!({own})\\b)uio[0-9]+' || true");
    }

    public async ValueTask DisposeAsync() => await _guest.RunAsync($"kill -KILL {Pid} 2>/dev/null; {GuestHandler.Program} promise 0");
}

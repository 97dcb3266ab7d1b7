using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Scuse.Kernel;

/// <summary>The host's end of the port at which the guest takes commands, several at a time; the other one is <c>image/agent</c>, where the lines are described.</summary>
sealed class GuestAgent : IAsyncDisposable
{
    // What may pass between the end of a script's time and the guest's word that it has been ended.
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(30);

    readonly Socket _socket;
    readonly StreamReader _reader;
    readonly StreamWriter _writer;
    readonly SemaphoreSlim _writing = new(1);
    readonly ConcurrentDictionary<int, TaskCompletionSource<(int Code, string Output)>> _running = new();
    readonly Task _reading;
    int _lastId;

    GuestAgent(Socket socket, StreamReader reader, StreamWriter writer)
    {
        (_socket, _reader, _writer) = (socket, reader, writer);
        _reading = ReadAsync();
    }

    /// <summary>Waits until the guest is up; null when it has ended or the time is over.</summary>
    public static async Task<GuestAgent?> ConnectAsync(string path, Func<bool> hasEnded, TimeSpan deadline)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (clock.Elapsed < deadline && !hasEnded())
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
            }
            catch (SocketException)
            {
                socket.Dispose();
                await Task.Delay(50);
                continue;
            }

            var stream = new NetworkStream(socket, ownsSocket: true);
            var reader = new StreamReader(stream);
            try
            {
                if (await reader.ReadLineAsync().WaitAsync(deadline - clock.Elapsed) == "ready")
                {
                    return new GuestAgent(socket, reader, new StreamWriter(stream) { AutoFlush = true });
                }
            }
            catch (Exception exception) when (exception is IOException or TimeoutException)
            {
                socket.Dispose();
                return null;
            }

            socket.Dispose();
        }

        return null;
    }

    /// <summary>Runs a script; one that still runs when its time is over is ended, with the exit code 124.</summary>
    /// <exception cref="IOException">The guest has gone.</exception>
    /// <exception cref="TimeoutException">It does not answer.</exception>
    public async Task<Outcome> RunAsync(string script, TimeSpan limit)
    {
        Stopwatch clock = Stopwatch.StartNew();
        int id = Interlocked.Increment(ref _lastId);
        var answer = new TaskCompletionSource<(int Code, string Output)>(TaskCreationOptions.RunContinuationsAsynchronously);
        _running[id] = answer;
        if (_reading.IsCompleted)
        {
            throw new IOException("The guest has gone");
        }

        await _writing.WaitAsync();
        try
        {
            await _writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{id} {limit.TotalSeconds:0} {Convert.ToBase64String(Encoding.UTF8.GetBytes(script))}"));
        }
        finally
        {
            _writing.Release();
        }

        (int code, string output) = await answer.Task.WaitAsync(limit + Grace);
        return new Outcome(script, code, output, "", clock.Elapsed);
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        await _reading;
        _writing.Dispose();
    }

    async Task ReadAsync()
    {
        try
        {
            while (await _reader.ReadLineAsync() is { } line)
            {
                string[] fields = line.Split(' ');
                if (_running.TryRemove(int.Parse(fields[0], CultureInfo.InvariantCulture), out TaskCompletionSource<(int, string)>? answer))
                {
                    answer.SetResult((int.Parse(fields[1], CultureInfo.InvariantCulture), Encoding.UTF8.GetString(Convert.FromBase64String(fields[2]))));
                }
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException or SocketException)
        {
            // It has ended, or is being ended: whoever waits is told below.
        }

        foreach (TaskCompletionSource<(int, string)> answer in _running.Values)
        {
            answer.TrySetException(new IOException("The guest has gone"));
        }
    }
}

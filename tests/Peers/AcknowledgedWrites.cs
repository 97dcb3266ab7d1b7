using System.Diagnostics;
using System.Globalization;

namespace Scuse.Peers;

/// <summary>
/// Writes small patterns over and over until told to stop, and remembers for each place what was acknowledged last: that, or a newer
/// write that was not acknowledged any more, must be there afterwards.
/// </summary>
sealed class AcknowledgedWrites(string url, int firstByte, int random)
{
    const int Places = 64;
    const int LengthBytes = 24 << 10;

    static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    // Index: place. Zero is "never written".
    readonly byte[] _acknowledged = new byte[Places];
    int _placeInFlight = -1;

    /// <summary>How many writes were acknowledged.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the disk that one writer uses.</summary>
    public const int AreaBytes = Places * LengthBytes;

    /// <summary>Writes until <paramref name="stop"/> or until the initiator reports an error or ends.</summary>
    /// <returns>What the initiator reported that was no acknowledgement, or null.</returns>
    public async Task<string?> RunAsync(CancellationToken stop)
    {
        using RunningPeer io = RunningPeer.Start("qemu-io", "-f", "raw", "-t", "none", url);
        Random choose = new(random);
        int seen = 0;
        while (!stop.IsCancellationRequested)
        {
            _placeInFlight = choose.Next(Places);
            byte pattern = (byte)choose.Next(1, 256);
            int offset = Offset(_placeInFlight);
            await io.Input.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"write -P {pattern} {offset} {LengthBytes}"));
            await io.Input.FlushAsync(CancellationToken.None);

            string acknowledgement = string.Create(CultureInfo.InvariantCulture, $"wrote {LengthBytes}/{LengthBytes} bytes at offset {offset}\n");
            string answer = io.OutputAfter(seen);
            while (!answer.Contains(acknowledgement, StringComparison.Ordinal))
            {
                if (io.HasExited || answer.Contains("failed", StringComparison.Ordinal))
                {
                    return answer;
                }

                if (stop.IsCancellationRequested)
                {
                    return null;
                }

                await Task.Delay(1, CancellationToken.None);
                answer = io.OutputAfter(seen);
            }

            seen += answer.Length;
            _acknowledged[_placeInFlight] = pattern;
            _placeInFlight = -1;
            Count++;
        }

        await io.Input.WriteLineAsync("quit");
        await io.WaitAsync(TimeSpan.FromSeconds(10));
        return null;
    }

    /// <summary>Waits until each of them has so many acknowledgements more.</summary>
    /// <exception cref="PeerException">They do not come.</exception>
    public static async Task GoOnAsync(IReadOnlyCollection<AcknowledgedWrites> writers, int more = 20)
    {
        int[] wanted = [.. writers.Select(writer => writer.Count + more)];
        Stopwatch clock = Stopwatch.StartNew();
        while (writers.Zip(wanted).Any(static each => each.First.Count < each.Second))
        {
            if (clock.Elapsed > s_deadline)
            {
                throw new PeerException($"Of {more} writes more {string.Join(", ", writers.Zip(wanted).Select(each => more - each.Second + each.First.Count))} were acknowledged within {s_deadline.TotalSeconds:0} s");
            }

            await Task.Delay(5, CancellationToken.None);
        }
    }

    /// <summary>Reads every acknowledged write back, perhaps from another engine.</summary>
    /// <exception cref="PeerException">One is not there.</exception>
    public Task VerifyAsync(string fromUrl) => Qemu.IoMustSucceedAsync(
        fromUrl,
        [.. Enumerable.Range(0, Places)
            .Where(place => _acknowledged[place] != 0 && place != _placeInFlight)
            .Select(place => string.Create(CultureInfo.InvariantCulture, $"read -P {_acknowledged[place]} {Offset(place)} {LengthBytes}"))]);

    int Offset(int place) => firstByte + place * LengthBytes;
}

using System.Net;
using System.Net.Sockets;

namespace Scuse.Bench.Peers;

/// <summary>A running target with one disk.</summary>
interface ITarget : IDisposable
{
    /// <summary>Where an initiator finds the disk.</summary>
    string Url { get; }

    /// <summary>The process whose processor time, with that of its descendants, is the target's.</summary>
    int Pid { get; }
}

static class Targets
{
    /// <summary>The target once it is ready; one that does not get so far is disposed.</summary>
    public static async Task<T> OnceReadyAsync<T>(T target, Task ready)
        where T : ITarget
    {
        try
        {
            await ready;
            return target;
        }
        catch
        {
            target.Dispose();
            throw;
        }
    }
}

static class Ports
{
    /// <summary>A TCP port that nobody listens on now.</summary>
    public static int Free()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Waits until somebody listens there.</summary>
    /// <exception cref="Scuse.Peers.PeerException">Nobody does in time.</exception>
    public static async Task WaitAsync(int port, string name)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                using TcpClient client = new();
                await client.ConnectAsync(IPAddress.Loopback, port);
                return;
            }
            catch (SocketException) when (attempt < 100)
            {
                await Task.Delay(50);
            }
            catch (SocketException refused)
            {
                throw new Scuse.Peers.PeerException($"{name} does not listen on port {port}: {refused.Message}");
            }
        }
    }
}

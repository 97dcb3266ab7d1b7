using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Scuse.Engine;

namespace Scuse.Cli.Control;

/// <summary>Talks to a running engine over its control socket.</summary>
sealed class ControlClient : IDisposable
{
    /// <summary>Longer than the engine takes for anything but a hand-over, which has a limit of its own.</summary>
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    readonly HttpClient _http;
    readonly string _path;

    ControlClient(string path)
    {
        _path = path;
        var handler = new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellation) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(ControlSocket.AddressOf(path), cancellation);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
            UseProxy = false,
        };
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://scuse"), Timeout = Deadline };
    }

    /// <summary>A client of the engine whose control socket that is; without one, of the only engine there is.</summary>
    /// <exception cref="EngineException">There is none, or more than one.</exception>
    public static ControlClient For(string? path)
    {
        if (path is not null)
        {
            return new ControlClient(path);
        }

        IReadOnlyList<string> running = ControlSocket.OfRunningEngines();
        return running.Count switch
        {
            1 => new ControlClient(running[0]),
            0 => throw new EngineException("no engine of yours is running; if its sockets are elsewhere, say where with --control"),
            _ => throw new EngineException($"{running.Count} engines are running; say which one with --control: {string.Join(", ", running)}"),
        };
    }

    /// <exception cref="EngineException">It came to nothing; the message is for the operator.</exception>
    public async Task<T> GetAsync<T>(string resource, JsonTypeInfo<T> type, CancellationToken cancellation) =>
        Parse(await AskAsync(HttpMethod.Get, resource, null, cancellation), type);

    /// <exception cref="EngineException">It came to nothing; the message is for the operator.</exception>
    public Task<string> GetTextAsync(string resource, CancellationToken cancellation) => AskAsync(HttpMethod.Get, resource, null, cancellation);

    /// <exception cref="EngineException">It came to nothing; the message is for the operator.</exception>
    public Task<string> PostAsync(string resource, HttpContent? content, CancellationToken cancellation) => AskAsync(HttpMethod.Post, resource, content, cancellation);

    /// <exception cref="EngineException">It came to nothing; the message is for the operator.</exception>
    public Task<string> DeleteAsync(string resource, CancellationToken cancellation) => AskAsync(HttpMethod.Delete, resource, null, cancellation);

    /// <summary>Reads what the engine said.</summary>
    public static T Parse<T>(string text, JsonTypeInfo<T> type) =>
        JsonSerializer.Deserialize(text, type) ?? throw new EngineException("the engine's answer is empty");

    /// <summary>The body of an answer as it comes.</summary>
    /// <exception cref="EngineException">It came to nothing; the message is for the operator.</exception>
    public async Task<HttpResponseMessage> OpenAsync(string resource, CancellationToken cancellation)
    {
        HttpResponseMessage response = await SendAsync(new HttpRequestMessage(HttpMethod.Get, resource), HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            throw Failure(await response.Content.ReadAsStringAsync(cancellation));
        }
    }

    async Task<string> AskAsync(HttpMethod method, string resource, HttpContent? content, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, resource) { Content = content };
        using HttpResponseMessage response = await SendAsync(request, HttpCompletionOption.ResponseContentRead, cancellation);
        string text = await response.Content.ReadAsStringAsync(cancellation);
        return response.IsSuccessStatusCode ? text : throw Failure(text);
    }

    async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, HttpCompletionOption completion, CancellationToken cancellation)
    {
        try
        {
            return await _http.SendAsync(request, completion, cancellation);
        }
        catch (HttpRequestException exception)
        {
            string reason = exception.InnerException switch
            {
                SocketException { SocketErrorCode: SocketError.ConnectionRefused or SocketError.AddressNotAvailable } => "no engine listens there",
                SocketException { SocketErrorCode: SocketError.AccessDenied } => "it belongs to another user",
                { } inner => inner.Message,
                null => exception.Message,
            };
            throw new EngineException($"control socket {_path}: {reason}", exception);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new EngineException($"control socket {_path}: no answer within {Deadline.TotalSeconds:0} s");
        }
    }

    static EngineException Failure(string text)
    {
        try
        {
            return new EngineException(JsonSerializer.Deserialize(text, ControlJson.Default.Problem)?.Detail ?? text);
        }
        catch (JsonException)
        {
            return new EngineException($"not an engine's answer: {text}");
        }
    }

    public void Dispose() => _http.Dispose();
}

using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Management;
using Scuse.Iscsi;
using Scuse.Iscsi.Isns;

namespace Scuse.Engine.Discovery;

/// <summary>What an engine offers, and where.</summary>
/// <param name="Targets">The targets' names.</param>
/// <param name="Portals">The portals that discovery tells of.</param>
/// <param name="PortalGroupTag">The tag of their group.</param>
sealed record Offer(IReadOnlyList<string> Targets, IReadOnlyList<IscsiPortal> Portals, ushort PortalGroupTag);

/// <summary>
/// Has an iSNS server know what there is: registers it, renews that before the server forgets it, tells what has changed, and takes it away at the end. While the server cannot be
/// reached, or refuses, it tries again, at longer and longer intervals. RFC 4171.
/// </summary>
/// <remarks>
/// Work of the thread pool, with a connection for each message: it is not in the way of any command.
/// </remarks>
sealed partial class IsnsClient : IAsyncDisposable
{
    /// <summary>How long one exchange with the server may take, names and connecting included.</summary>
    static readonly TimeSpan ExchangeLimit = TimeSpan.FromSeconds(10);

    /// <summary>The same at the end, when somebody waits for it.</summary>
    static readonly TimeSpan FarewellLimit = TimeSpan.FromSeconds(2);

    readonly IsnsOptions _options;
    readonly string _entity;
    readonly Func<Offer> _look;
    readonly ILogger _logger;
    readonly CancellationTokenSource _stopping = new();
    readonly SemaphoreSlim _changed = new(0, 1);
    Task _running = Task.CompletedTask;
    IsnsRegistration? _registered; // what the server knows, as far as we know
    ushort _transactionId;
    bool _isDisposed;
    volatile IsnsStatus _status;

    /// <param name="options">The server.</param>
    /// <param name="entity">What tells this engine from all others, and is the same at its next start.</param>
    /// <param name="look">What is on offer now.</param>
    /// <param name="logger">Where to tell.</param>
    public IsnsClient(IsnsOptions options, string entity, Func<Offer> look, ILogger logger)
    {
        _options = options;
        _entity = entity;
        _look = look;
        _logger = logger;
        _status = new IsnsStatus { Server = options.ToString(), Entity = entity, IsRegistered = false };
    }

    /// <summary>How it stands. From any thread.</summary>
    public IsnsStatus Status => _status;

    /// <summary>An entity identifier: this machine, the portal group, the target. Two engines that offer the same target have different ones as their groups have.</summary>
    public static string EntityOf(string targetName, ushort portalGroupTag)
    {
        string entity = $"{Dns.GetHostName()}/{portalGroupTag}/{targetName}";
        while (Encoding.UTF8.GetByteCount(entity) > IsnsRegistration.MaxIdentifierBytes)
        {
            entity = entity[1..];
        }

        return entity;
    }

    public void Start() => _running = RunAsync();

    /// <summary>What is on offer has changed. From any thread.</summary>
    public void Changed()
    {
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // It is known already.
        }
    }

    /// <summary>Takes the registration away; a server that does not answer soon will forget it by itself.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        await _stopping.CancelAsync();
        await _running;
        if (_registered is { } last)
        {
            try
            {
                await WithdrawAsync(last, FarewellLimit);
            }
            catch (EngineException exception)
            {
                LogLeft(_logger, _options, exception.Message);
            }
        }

        _stopping.Dispose();
        _changed.Dispose();
    }

    async Task RunAsync()
    {
        IsnsPace pace = new();
        while (!_stopping.IsCancellationRequested)
        {
            TimeSpan wait;
            try
            {
                wait = pace.AfterSuccess(await TellAsync());
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (EngineException exception)
            {
                if (_status.Problem != exception.Message)
                {
                    LogFailed(_logger, _options, exception.Message); // once for each reason, however often it is tried
                }

                _status = _status with { IsRegistered = false, Problem = exception.Message };
                wait = pace.AfterFailure();
            }

            try
            {
                await _changed.WaitAsync(wait, _stopping.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>Tells the server what there is. Returns for how many seconds it will know; 0 when it does not say.</summary>
    /// <exception cref="EngineException">It does not know it.</exception>
    async Task<uint> TellAsync()
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        late.CancelAfter(ExchangeLimit);
        return await InTimeAsync(
            async () =>
            {
                Offer offer = _look();
                IPAddress[] servers = await Dns.GetHostAddressesAsync(_options.Host, late.Token);
                (IReadOnlyList<IPEndPoint> places, string? problem) = await PortalAddresses.FindAsync(offer.Portals, servers.Any(IPAddress.IsLoopback), late.Token);
                if (places.Count == 0 || offer.Targets.Count == 0)
                {
                    await WithdrawIfRegisteredAsync();
                    if (problem is not null)
                    {
                        throw new EngineException($"nothing is registered: {problem}");
                    }

                    _status = _status with { IsRegistered = false, Portals = [], Problem = null };
                    return uint.MaxValue; // nothing that it could forget
                }

                var registration = new IsnsRegistration { EntityIdentifier = _entity, Targets = offer.Targets, Portals = places, PortalGroupTag = offer.PortalGroupTag };
                bool replaces = _registered is null || !_registered.IsSameAs(registration);
                IsnsAnswer answer = await AskAsync(IsnsFunction.Register, id => registration.ToRegister(id, replaces), late.Token);
                if (!answer.IsSuccess)
                {
                    throw new EngineException($"it refuses the registration of {string.Join(", ", offer.Targets)}: {answer.StatusText}");
                }

                Registered(registration, answer, replaces, problem);
                return answer.RegistrationPeriodSeconds;
            },
            ExchangeLimit);
    }

    void Registered(IsnsRegistration registration, IsnsAnswer answer, bool isNews, string? problem)
    {
        string[] places = [.. registration.Portals.Select(static place => place.ToString())];
        if (isNews || _status.Problem is not null)
        {
            string targets = string.Join(", ", registration.Targets), portals = string.Join(", ", places);
            LogRegistered(_logger, _options, targets, portals, answer.RegistrationPeriodSeconds, problem is null ? "" : $"; {problem}");
        }

        _registered = registration;
        _status = _status with
        {
            IsRegistered = true,
            RegisteredAt = DateTimeOffset.UtcNow,
            PeriodSeconds = (int)Math.Min(answer.RegistrationPeriodSeconds, int.MaxValue),
            Portals = places,
            Problem = problem,
        };
    }

    async Task WithdrawIfRegisteredAsync()
    {
        if (_registered is { } last)
        {
            await WithdrawAsync(last, ExchangeLimit);
        }
    }

    async Task WithdrawAsync(IsnsRegistration last, TimeSpan limit)
    {
        using var late = new CancellationTokenSource(limit);
        IsnsAnswer answer = await InTimeAsync(() => AskAsync(IsnsFunction.Deregister, last.ToDeregister, late.Token), limit);
        if (!answer.IsSuccess)
        {
            throw new EngineException($"it refuses to forget the registration: {answer.StatusText}");
        }

        _registered = null;
        LogWithdrawn(_logger, _options);
    }

    /// <summary>Everything that the network and the server can do wrong is a line for the operator.</summary>
    async Task<T> InTimeAsync<T>(Func<Task<T>> exchange, TimeSpan limit)
    {
        try
        {
            return await exchange();
        }
        catch (OperationCanceledException) when (!_stopping.IsCancellationRequested || limit == FarewellLimit)
        {
            throw new EngineException($"no answer within {limit.TotalSeconds:0} s");
        }
        catch (Exception exception) when (exception is SocketException or IOException or NetworkInformationException)
        {
            throw new EngineException(exception.Message, exception);
        }
    }

    /// <summary>One message, and the answer to it.</summary>
    async Task<IsnsAnswer> AskAsync(IsnsFunction function, Func<ushort, byte[]> message, CancellationToken cancellation)
    {
        ushort id = ++_transactionId;
        using var client = new TcpClient();
        await client.ConnectAsync(_options.Host, _options.Port, cancellation);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(message(id), cancellation);
        var reader = new IsnsAnswerReader(function, id);
        byte[] header = new byte[IsnsHeader.Length];
        byte[] payload;
        do
        {
            await stream.ReadExactlyAsync(header, cancellation);
            if (reader.Check(header) is { } problem)
            {
                throw new EngineException(problem);
            }

            payload = new byte[new IsnsHeader(header).PayloadLength];
            await stream.ReadExactlyAsync(payload, cancellation);
        }
        while (!reader.Add(header, payload));

        return reader.TryRead(out IsnsAnswer? answer) ? answer : throw new EngineException("its answer cannot be read");
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "iSNS server {Server}: {Targets} at {Portals} is registered, for {Seconds} s at a time{Note}")]
    static partial void LogRegistered(ILogger logger, IsnsOptions server, string targets, string portals, uint seconds, string note);

    [LoggerMessage(Level = LogLevel.Information, Message = "iSNS server {Server}: the registration was taken away")]
    static partial void LogWithdrawn(ILogger logger, IsnsOptions server);

    [LoggerMessage(Level = LogLevel.Warning, Message = "iSNS server {Server}: {Reason}; it is tried again")]
    static partial void LogFailed(ILogger logger, IsnsOptions server, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "iSNS server {Server}: the registration stays until the server forgets it: {Reason}")]
    static partial void LogLeft(ILogger logger, IsnsOptions server, string reason);
}

using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Discovery;
using Scuse.Iscsi;
using Scuse.Iscsi.Isns;

namespace Scuse.Engine.Tests.Discovery;

/// <summary>The client with a server that answers as the test says; tests/Peers has a real one.</summary>
public sealed class IsnsClientTests : IAsyncDisposable
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    readonly Server _server = new();
    readonly List<string> _targets = ["iqn.2026-11.example:disks"];
    readonly IsnsClient _client;

    public IsnsClientTests() => _client = new IsnsClient(
        new IsnsOptions("127.0.0.1", _server.Port), "host/1/disks",
        () => new Offer([.. _targets], [new IscsiPortal(IPEndPoint.Parse("192.0.2.7:3260"))], 1), NullLogger.Instance);

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        _server.Dispose();
    }

    [Fact]
    public async Task It_registers_with_a_clean_slate_and_renews_as_the_period_says()
    {
        _server.Period = 3;
        _client.Start();
        Request first = await _server.NextAsync(), second = await _server.NextAsync();
        Assert.Equal((IsnsFunction.Register, true), (first.Function, first.Replaces));
        Assert.Equal((IsnsFunction.Register, false), (second.Function, second.Replaces));
        await UntilAsync(() => _client.Status is { IsRegistered: true, PeriodSeconds: 3, Problem: null });
        Assert.Equal(["192.0.2.7:3260"], _client.Status.Portals);
    }

    [Fact]
    public async Task A_change_is_told_at_once_and_replaces_what_was_there()
    {
        _client.Start();
        await _server.NextAsync();
        await UntilAsync(() => _client.Status.IsRegistered);
        _targets.Add("iqn.2026-11.example:more");
        _client.Changed();
        Request second = await _server.NextAsync();
        Assert.True(second.Replaces);
        Assert.Contains("iqn.2026-11.example:more", second.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_there_is_nothing_left_the_registration_is_taken_away()
    {
        _client.Start();
        await _server.NextAsync();
        await UntilAsync(() => _client.Status.IsRegistered);
        _targets.Clear();
        _client.Changed();
        Assert.Equal(IsnsFunction.Deregister, (await _server.NextAsync()).Function);
        await UntilAsync(() => _client.Status is { IsRegistered: false, Problem: null });
    }

    [Fact]
    public async Task A_refusal_is_told_and_tried_again_until_it_is_none()
    {
        _server.Status = 3;
        _client.Start();
        await _server.NextAsync();
        Assert.True((await _server.NextAsync()).Replaces);
        await UntilAsync(() => _client.Status.Problem is not null);
        Assert.Contains("invalid registration", _client.Status.Problem!, StringComparison.Ordinal);
        Assert.False(_client.Status.IsRegistered);
        _server.Status = 0;
        _client.Changed();
        Assert.True((await _server.NextAsync()).Replaces);
        await UntilAsync(() => _client.Status is { IsRegistered: true, Problem: null });
    }

    [Fact]
    public async Task A_server_that_comes_late_is_found()
    {
        int port = _server.Port;
        _server.Dispose();
        _client.Start();
        await UntilAsync(() => _client.Status.Problem is not null);
        using var late = new Server(port);
        await late.NextAsync();
        await UntilAsync(() => _client.Status.IsRegistered);
    }

    [Theory]
    [InlineData("00028001" + "00044c00" + "ffff0000" + "00000000")] // another version
    [InlineData("00018001" + "00044c00" + "eeee0000" + "00000000")] // of another transaction
    [InlineData("00018001" + "00004c00" + "ffff0000")] // without a status
    [InlineData("000180")] // and away
    public async Task An_answer_that_makes_no_sense_is_a_problem_and_no_more(string answer)
    {
        _server.Raw = answer;
        _client.Start();
        await _server.NextAsync();
        await UntilAsync(() => _client.Status.Problem is not null);
        _server.Raw = null;
        _client.Changed();
        await UntilAsync(() => _client.Status.IsRegistered);
    }

    [Fact]
    public async Task At_the_end_the_registration_is_taken_away()
    {
        _client.Start();
        await _server.NextAsync();
        await UntilAsync(() => _client.Status.IsRegistered);
        await _client.DisposeAsync();
        Request last = await _server.NextAsync();
        Assert.Equal(IsnsFunction.Deregister, last.Function);
        Assert.Contains("host/1/disks", last.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_says_nothing_does_not_hold_up_the_end()
    {
        _client.Start();
        await _server.NextAsync();
        await UntilAsync(() => _client.Status.IsRegistered);
        _server.IsMute = true;
        Stopwatch clock = Stopwatch.StartNew();
        await _client.DisposeAsync();
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(9), $"{clock.Elapsed}");
    }

    [Fact]
    public void An_entity_has_a_name_of_limited_length_that_is_the_same_each_time()
    {
        string entity = IsnsClient.EntityOf(new string('x', 223), 65535);
        Assert.Equal(entity, IsnsClient.EntityOf(new string('x', 223), 65535));
        Assert.InRange(entity.Length, 223, IsnsRegistration.MaxIdentifierBytes);
        Assert.NotEqual(IsnsClient.EntityOf("iqn.x", 1), IsnsClient.EntityOf("iqn.x", 2));
    }

    static async Task UntilAsync(Func<bool> what)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (!what())
        {
            Assert.True(clock.Elapsed < Deadline, "it did not come about");
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    sealed record Request(IsnsFunction Function, bool Replaces, string Text);

    /// <summary>Answers every request as it is told to.</summary>
    sealed class Server : IDisposable
    {
        readonly TcpListener _listener;
        readonly System.Threading.Channels.Channel<Request> _requests = System.Threading.Channels.Channel.CreateUnbounded<Request>();

        public Server(int port = 0)
        {
            _listener = new TcpListener(IPAddress.Loopback, port) { ExclusiveAddressUse = false };
            _listener.Start();
            _ = RunAsync();
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

        public volatile uint Status, Period = 600;

        public volatile bool IsMute;

        /// <summary>What it answers instead; ffff stands for the transaction.</summary>
        public volatile string? Raw;

        public async Task<Request> NextAsync() => await _requests.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(Deadline, TestContext.Current.CancellationToken);

        async Task RunAsync()
        {
            try
            {
                while (true)
                {
                    using TcpClient client = await _listener.AcceptTcpClientAsync();
                    await ServeAsync(client.GetStream());
                }
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                // It was closed.
            }
        }

        async Task ServeAsync(NetworkStream stream)
        {
            try
            {
                byte[] header = new byte[IsnsHeader.Length];
                await stream.ReadExactlyAsync(header);
                byte[] payload = new byte[new IsnsHeader(header).PayloadLength];
                await stream.ReadExactlyAsync(payload);
                _requests.Writer.TryWrite(Read(header, payload));
                await stream.WriteAsync(Answer(header));
                if (IsMute)
                {
                    await Task.Delay(TimeSpan.FromSeconds(30));
                }
            }
            catch (IOException)
            {
                // The client has gone.
            }
        }

        static Request Read(byte[] header, byte[] payload)
        {
            var pdu = new IsnsHeader(header);
            return new Request((IsnsFunction)pdu.Function, pdu.Flags.HasFlag(IsnsFlags.Replace), System.Text.Encoding.ASCII.GetString(payload));
        }

        byte[] Answer(byte[] request)
        {
            if (IsMute)
            {
                return [];
            }

            var asked = new IsnsHeader(request);
            if (Raw is { } raw)
            {
                return Convert.FromHexString(raw.Replace("ffff", asked.TransactionId.ToString("x4"), StringComparison.Ordinal));
            }

            byte[] answer = new byte[IsnsHeader.Length + 16];
            IsnsHeader.WriteTo(answer, (ushort)(asked.Function | IsnsHeader.AnswerBit), IsnsFlags.First | IsnsFlags.Last | IsnsFlags.FromServer, asked.TransactionId, 0, 16);
            BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(12), Status);
            BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(16), (uint)IsnsTag.RegistrationPeriod);
            BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(20), 4);
            BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(24), Period);
            return answer;
        }

        public void Dispose() => _listener.Stop();
    }
}

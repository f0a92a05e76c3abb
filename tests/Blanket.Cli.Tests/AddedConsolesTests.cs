using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Tests;

public sealed class AddedConsolesTests : IDisposable
{
    private const uint FirstPort = 4;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly CancellationTokenSource _limit = new(s_patience);
    private readonly Instance _instance = Instance.Create($"added-{Environment.ProcessId % 10000}");
    private readonly FakeLine _line = new();
    private readonly Dictionary<string, Text> _logs = [];
    private readonly ConsoleServers _servers;
    private readonly AddedConsoles _consoles;
    private readonly GuestParts _parts;
    private readonly PlannedGuest[] _guests = [.. MachinePlan.For(TestGuests.Random(1, 3)).Guests.Select(guest => guest with { Disks = [] })];

    public AddedConsolesTests()
    {
        _servers = new ConsoleServers(_instance);
        _consoles = new AddedConsoles(_instance, _servers, _line, FirstPort, CreateLog);
        _parts = GuestParts.OpenAsync(_instance, default).GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        _parts.Dispose();
        _consoles.Dispose();
        _servers.Dispose();
        _instance.Dispose();
        _limit.Dispose();
    }

    [Fact]
    public async Task EachGuestHasAConsoleAndALogFromItsFirstLineOn()
    {
        uint one = await AddAsync(0);
        uint two = await AddAsync(1);
        Assert.Equal([FirstPort, FirstPort + 1], [one, two]);
        await _line.SayAsync(one, "first of one");
        await _line.SayAsync(two, "first of two");
        Assert.Equal("first of one", await SeeAsync(0, 12));
        Assert.Equal("first of two", await SeeAsync(1, 12));
        Assert.Equal(["first of one", "first of two"], [_logs[NameOf(0)].Seen, _logs[NameOf(1)].Seen]);
        using NetworkStream console = await ConnectAsync(1);
        await console.WriteAsync("keys"u8.ToArray(), _limit.Token);
        Assert.Equal((two, "keys"), await _line.Typed.Task.WaitAsync(_limit.Token));
    }

    [Fact]
    public async Task NothingOfAGuestThatIsGoneReachesTheNext()
    {
        uint one = await AddAsync(0);
        await _line.SayAsync(one, "one");
        using NetworkStream old = await ConnectAsync(0);
        await _parts.RemoveOthersAsync([NameOf(2)], _limit.Token);
        Assert.False(Path.Exists(_instance.ConsoleSocket(NameOf(0))));
        byte[] rest = new byte[64];
        while (await old.ReadAsync(rest, _limit.Token) > 0)
        {
        }

        uint two = await AddAsync(1);
        uint again = await AddAsync(0);
        Assert.Equal(3, new[] { one, two, again }.Distinct().Count());
        await _line.SayAsync(one, ", late");
        await _line.SayAsync(two, "two");
        await _line.SayAsync(again, "again");
        Assert.Equal("two", await SeeAsync(1, 3));
        Assert.Equal("again", await SeeAsync(0, 5));
        Assert.Equal("two", _logs[NameOf(1)].Seen);

        // Its own log has what it said last, and what the next of its name says.
        Assert.Equal("one, lateagain", _logs[NameOf(0)].Seen);
    }

    /// <summary>A guest that the machine started with is gone, and one of its name is added.</summary>
    [Fact]
    public async Task AConsoleReplacesThatOfAGuestOfTheSameName()
    {
        IConsoleSink boot = _servers.Share(NameOf(0), null, Stream.Null);
        await boot.WriteAsync("boot"u8.ToArray());
        uint port = await AddAsync(0);
        await boot.WriteAsync("late"u8.ToArray());
        await _line.SayAsync(port, "added");
        Assert.Equal("added", await SeeAsync(0, 5));
    }

    [Fact]
    public async Task AConsoleThatCannotBeMadeIsRefused()
    {
        _logs[NameOf(0)] = null!;
        HostException refusal = await Assert.ThrowsAsync<HostException>(() => AddAsync(0));
        Assert.Contains("no room", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(FirstPort, await AddAsync(1));
    }

    private string NameOf(int guest) => _guests[guest].Configuration.Name;

    private IConsoleSink? CreateLog(string guest)
    {
        if (!_logs.TryGetValue(guest, out Text? log))
        {
            log = new Text();
            _logs.Add(guest, log);
        }

        return log ?? throw new IOException("no room");
    }

    private async Task<uint> AddAsync(int guest) => (await _parts.AddAsync(_guests[guest], _limit.Token)).ConsolePort;

    private async Task<NetworkStream> ConnectAsync(int guest)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_instance.ConsoleSocket(NameOf(guest))), _limit.Token);
        return new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>What a guest's console shows at first.</summary>
    private async Task<string> SeeAsync(int guest, int length)
    {
        using NetworkStream console = await ConnectAsync(guest);
        byte[] seen = new byte[length];
        await console.ReadExactlyAsync(seen, _limit.Token);
        return Encoding.ASCII.GetString(seen);
    }

    private sealed class Text : IConsoleSink
    {
        public string Seen { get; private set; } = string.Empty;

        public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
        {
            Seen += Encoding.ASCII.GetString(bytes.Span);
            return ValueTask.CompletedTask;
        }
    }

    private sealed class FakeLine : IConsoleLine
    {
        private readonly Dictionary<uint, IConsoleSink> _sinks = [];

        public TaskCompletionSource<(uint Port, string Keys)> Typed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Connect(uint port, IConsoleSink? sink) => _sinks[port] = sink!;

        public Stream Keys(uint port) => new Lab.StockXen.PortStream(Stream.Null, bytes =>
        {
            Typed.TrySetResult((port, Encoding.ASCII.GetString(bytes.Span)));
            return Task.CompletedTask;
        });

        public ValueTask SayAsync(uint port, string text) => _sinks[port].WriteAsync(Encoding.ASCII.GetBytes(text));
    }
}

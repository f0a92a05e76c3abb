using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Backends.Tests;

public sealed class ConsoleTests
{
    private readonly TestMachine _machine = new();
    private readonly FakePort _port = new();
    private readonly TestGuest _guest;
    private readonly ulong _frame;
    private readonly uint _guestPort;

    public ConsoleTests()
    {
        _guest = _machine.CreateGuest(3);
        _frame = _guest.NewFrame();
        _guestPort = _guest.NewPort();
        _guest.GrantAt(0, _frame);
    }

    private PrimaryConsole Create(ConsolePort? port)
    {
        int error = PrimaryConsole.Create(_machine.Bus, _machine.Owner, _guest.Domain, port, _frame, _guestPort, out PrimaryConsole? console);
        Assert.Equal(0, error);
        _machine.Settle();
        return console!;
    }

    private ref uint Index(int offset) => ref PhysicalMemory.At<uint>((_frame << 12) + (uint)offset);

    /// <summary>Prints as much as the ring has room for; returns how much.</summary>
    private int Print(ReadOnlySpan<byte> text)
    {
        ref uint producer = ref Index(XenconsInterface.OutputProducer);
        int room = XenconsInterface.OutputSize - (int)(producer - Index(XenconsInterface.OutputConsumer));
        int count = Math.Min(room, text.Length);
        for (int i = 0; i < count; i++)
        {
            PhysicalMemory.Frame(_frame)[XenconsInterface.Output + (int)((producer + (uint)i) % XenconsInterface.OutputSize)] = text[i];
        }

        producer += (uint)count;
        _guest.Send(_guestPort);
        _machine.Settle();
        return count;
    }

    private string ReadInput()
    {
        StringBuilder text = new();
        ref uint consumer = ref Index(XenconsInterface.InputConsumer);
        while (consumer != Index(XenconsInterface.InputProducer))
        {
            text.Append((char)PhysicalMemory.Frame(_frame)[(int)(consumer++ % XenconsInterface.InputSize)]);
        }

        return text.ToString();
    }

    [Fact]
    public void Nodes_describe_the_console()
    {
        Create(_port);
        string front = "/local/domain/3/console";
        Assert.Equal("xenconsoled", _machine.Read($"{front}/type"));
        Assert.Equal(_frame.ToString(), _machine.Read($"{front}/ring-ref"));
        Assert.Equal(_guestPort.ToString(), _machine.Read($"{front}/port"));
        Assert.Equal("1048576", _machine.Read($"{front}/limit"));
        Assert.Equal("", _machine.Read($"{front}/tty"));
        Assert.Equal("n32751 r3", _machine.Permissions($"{front}/tty"));
        Assert.Equal("vt100", _machine.Read("/local/domain/32751/backend/console/3/0/protocol"));
    }

    [Fact]
    public void Output_and_input_pass()
    {
        Create(_port);
        string text = string.Join(",", Enumerable.Range(0, 1000));
        ReadOnlySpan<byte> left = Encoding.ASCII.GetBytes(text);
        while (!left.IsEmpty)
        {
            left = left.Slice(Print(left));
        }

        Assert.Equal(text, _port.Text);
        Assert.True(_guest.TakeEvents(_guestPort) > 0);
        _port.Client!.Received("hello"u8);
        Assert.Equal(1, _guest.TakeEvents(_guestPort));
        Assert.Equal("hello", ReadInput());
    }

    [Fact]
    public void Input_waits_for_the_guest_and_is_bounded()
    {
        Create(_port);
        byte[] typed = Enumerable.Range(0, 5000).Select(i => (byte)('a' + i % 26)).ToArray();
        _port.Client!.Received(typed);
        StringBuilder got = new();
        for (int i = 0; i < 5; i++)
        {
            got.Append(ReadInput());
            _guest.Send(_guestPort);
        }

        Assert.Equal(Encoding.ASCII.GetString(typed, 0, ConsoleRing.InputSize), got.ToString());
        _port.Client!.Received("more"u8);
        Assert.Equal("more", ReadInput());
    }

    /// <summary>The guest's ring and what is kept besides are full: the rest waits at the port, and nothing is lost.</summary>
    [Fact]
    public void Input_that_there_is_no_room_for_waits_at_the_port()
    {
        Create(_port);
        string typed = new([.. Enumerable.Range(0, 20_000).Select(i => (char)('a' + i % 26))]);
        _port.Type(typed);
        Assert.InRange(_port.Waiting, 1, typed.Length - ConsoleRing.InputSize);
        StringBuilder got = new();
        for (int i = 0; i < 30; i++)
        {
            got.Append(ReadInput());
            _guest.Send(_guestPort);
            _machine.Settle();
        }

        Assert.Equal(typed, got.ToString());
        _port.Type("more");
        Assert.Equal("more", ReadInput());
    }

    /// <summary>What is typed before a guest is there, and after it has shut down, is for the one that comes next.</summary>
    [Fact]
    public void Input_waits_at_the_port_while_there_is_no_guest()
    {
        _port.Type("before");
        PrimaryConsole console = Create(_port);
        Assert.Equal("before", ReadInput());
        _guest.Domain.IsDying = true;
        _port.Type("after");
        console.Destroy();
        _machine.Settle();
        Assert.Equal([console], _machine.Owner.Gone);
        Assert.Equal(string.Empty, ReadInput());
        Assert.Equal("after".Length, _port.Waiting);
        _port.DropInput();
        Assert.Equal(0, _port.Waiting);
    }

    [Fact]
    public void A_slow_port_holds_the_guest_back()
    {
        Create(_port);
        _port.Room = 100;
        byte[] text = Enumerable.Range(0, 4000).Select(i => (byte)(' ' + i % 90)).ToArray();
        int printed = Print(text);
        Assert.Equal(XenconsInterface.OutputSize, printed);
        Assert.Equal(100, Print(text.AsSpan(printed)));
        Assert.Equal(0, Print(text.AsSpan(printed)));
        Assert.Equal(_machine.Now + ConsoleRing.Patience, _machine.WakeTime);
        printed += 100;
        while (_port.Text.Length < text.Length)
        {
            _port.Room = 300;
            _port.Client!.RoomAvailable();
            printed += Print(text.AsSpan(printed));
        }

        Assert.Equal(Encoding.ASCII.GetString(text), _port.Text);
    }

    [Fact]
    public void A_port_that_takes_nothing_for_long_does_not_hold_the_guest()
    {
        Create(_port);
        _port.Room = 10;
        byte[] text = Enumerable.Range(0, 60000).Select(i => (byte)(' ' + i % 90)).ToArray();
        int printed = Print(text);
        _machine.Now += ConsoleRing.Patience;
        _machine.Bus.Process();
        while (printed < text.Length)
        {
            int count = Print(text.AsSpan(printed));
            Assert.True(count > 0);
            printed += count;
        }

        _port.Room = int.MaxValue;
        _port.Client!.RoomAvailable();
        Assert.Equal(10 + ConsoleRing.HistorySize, _port.Text.Length);
        Assert.Equal(Encoding.ASCII.GetString(text, 0, 10), _port.Text.Substring(0, 10));
        Assert.Equal(Encoding.ASCII.GetString(text, text.Length - ConsoleRing.HistorySize, ConsoleRing.HistorySize), _port.Text.Substring(10));
        Print("again"u8);
        Assert.EndsWith("again", _port.Text);
    }

    [Fact]
    public void A_console_without_port_takes_everything()
    {
        Create(null);
        byte[] text = new byte[2048];
        Assert.Equal(2048, Print(text));
        Assert.Equal(2048, Print(text));
    }

    [Fact]
    public void Last_words_are_sent_before_the_page_is_let_go()
    {
        PrimaryConsole console = Create(_port);
        _port.Room = 3;
        Print("last words"u8);
        console.Destroy();
        _machine.Settle();
        Assert.Equal(1, _guest.PinCount);
        _port.Room = 100;
        _port.Client!.RoomAvailable();
        _machine.Settle();
        Assert.Equal("last words", _port.Text);
        Assert.Equal([console], _machine.Owner.Gone);
        Assert.Equal(0, _guest.PinCount);
        Assert.Equal(0, _guest.BoundPorts);
        Assert.Null(_port.Client);
        Assert.Null(_machine.Read("/local/domain/3/console"));
    }

    [Fact]
    public void A_closed_port_does_not_keep_a_dead_guest()
    {
        PrimaryConsole console = Create(_port);
        _port.Room = 0;
        Print("last words"u8);
        console.Destroy();
        _machine.Settle();
        Assert.Empty(_machine.Owner.Gone);
        _machine.Now += ConsoleRing.Patience;
        _machine.Bus.Process();
        _machine.Settle();
        Assert.Equal([console], _machine.Owner.Gone);
    }

    [Property]
    public void Any_indexes_are_survived(uint outConsumer, uint outProducer, uint inConsumer, uint inProducer)
    {
        Index(XenconsInterface.OutputConsumer) = outConsumer;
        Index(XenconsInterface.OutputProducer) = outProducer;
        Index(XenconsInterface.InputConsumer) = inConsumer;
        Index(XenconsInterface.InputProducer) = inProducer;
        FakePort port = new();
        PrimaryConsole console = Create(port);
        port.Client!.Received("typed"u8);
        uint count = outProducer - outConsumer;
        Assert.Equal(count <= XenconsInterface.OutputSize ? (int)count : 0, port.Text.Length);
        uint used = inProducer - inConsumer;
        Assert.Equal(used < XenconsInterface.InputSize ? Math.Min(5, XenconsInterface.InputSize - used) : 0, Index(XenconsInterface.InputProducer) - inProducer);
        console.Destroy();
        _machine.Settle();
        Assert.Equal(0, _guest.PinCount);
    }

    [Fact]
    public void Errors_leave_nothing_behind()
    {
        Assert.Equal(
            -Errno.EINVAL,
            PrimaryConsole.Create(_machine.Bus, _machine.Owner, _guest.Domain, _port, _frame, 99, out PrimaryConsole? console));
        Assert.Null(console);
        Assert.Null(_port.Client);
        Assert.Equal(0, _guest.PinCount);
        Create(_port);
        Assert.Equal(
            -Errno.EBUSY,
            PrimaryConsole.Create(_machine.Bus, _machine.Owner, _guest.Domain, _port, _frame, _guestPort, out console));
    }

    [Fact]
    public void Further_consoles_connect_by_xenbus()
    {
        int error = ConsoleDevice.Create(_machine.Bus, _machine.Owner, _guest.Domain, 1, _port, "channel"u8, out ConsoleDevice? console);
        Assert.Equal(0, error);
        _machine.Settle();
        string front = "/local/domain/3/device/console/1";
        Assert.Equal("n3 r32751", _machine.Permissions($"{front}/state"));
        Assert.Equal("n32751 r3", _machine.Permissions($"{front}/name"));
        _machine.Write($"{front}/ring-ref", _guest.Grant(_frame).ToString());
        _machine.Write($"{front}/port", _guestPort.ToString());
        _machine.Write($"{front}/state", "3");
        _machine.Settle();
        Assert.Equal("4", _machine.Read("/local/domain/32751/backend/console/3/1/state"));
        Print("second"u8);
        Assert.Equal("second", _port.Text);
        console!.Unplug();
        _machine.Settle();
        _machine.Write($"{front}/state", "6");
        _machine.Settle();
        Assert.Equal([console], _machine.Owner.Gone);
        Assert.Equal(0, _guest.PinCount);
    }

    private sealed class FakePort : ConsolePort
    {
        private readonly StringBuilder _text = new();
        private string _typed = string.Empty;

        /// <summary>Keys that nobody has taken.</summary>
        internal int Waiting => _typed.Length;

        internal int Room { get; set; } = int.MaxValue;

        internal string Text => _text.ToString();

        public override ReadOnlySpan<byte> Name => "fake"u8;

        public override int Send(ReadOnlySpan<byte> bytes)
        {
            int count = Math.Min(bytes.Length, Room);
            _text.Append(Encoding.Latin1.GetString(bytes.Slice(0, count)));
            Room = Room == int.MaxValue ? Room : Room - count;
            return count;
        }

        internal void Type(string keys)
        {
            _typed += keys;
            ReadOn();
        }

        protected override void PassInputOn()
        {
            while (_typed.Length != 0 && MayPassOn)
            {
                string piece = _typed[..Math.Min(_typed.Length, InputPiece)];
                _typed = _typed[piece.Length..];
                PassOn(Encoding.Latin1.GetBytes(piece));
            }
        }
    }
}

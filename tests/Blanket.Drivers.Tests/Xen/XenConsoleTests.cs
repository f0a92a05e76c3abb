using System;
using System.Buffers.Binary;
using System.Text;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Drivers.Xen.Console;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Xen;

public sealed class XenConsoleTests
{
    private readonly Ring _ring = new();
    private readonly XenConsole _console;

    public XenConsoleTests()
    {
        FakeXen xen = new();
        Assert.Equal(0, xen.Events.AllocateUnbound(0, new Nobody(), out uint port));
        _console = new XenConsole(xen, new DeviceRegisters(_ring, 4096), port);
    }

    [Fact]
    public void A_port_has_a_number_that_no_other_has()
    {
        XenConsolePort one = _console.CreatePort()!;
        XenConsolePort two = _console.CreatePort()!;
        Assert.False(one.TryTake(0));
        Assert.False(one.TryTake(100_000));
        Assert.False(one.TryTake(XenConsole.LogPort));
        Assert.True(one.TryTake(7));
        Assert.False(two.TryTake(7));
        one.Leave();
        Assert.True(two.TryTake(7));
        Assert.Equal("typed", Hears(two, "\u001e7\u001ftyped"));
    }

    /// <summary>The line is full: what a guest had to say yet may not come out under the next one's number, nor what is typed to it reach that one.</summary>
    [Fact]
    public void Who_takes_a_port_over_has_nothing_of_the_one_before()
    {
        XenConsolePort port = _console.CreatePort()!;
        Assert.True(port.TryTake(7));
        Assert.Equal(4096, port.Send(Encoding.ASCII.GetBytes(new string('a', 4096))));
        port.Leave();
        Assert.True(port.TryTake(8));
        Assert.Equal("new", Hears(port, "\u001e7\u001fold\u001e8\u001fnew"));
        Assert.Equal(1, port.Send("b"u8));
        string first = _ring.TakeOutput();
        _console.Handle();
        Assert.Equal(first.Length, first.Replace("b", string.Empty, StringComparison.Ordinal).Length);
        Assert.Equal("\u001e8\u001fb", _ring.TakeOutput());
    }

    /// <summary>What a guest said last is still sent when it has left.</summary>
    [Fact]
    public void Who_leaves_is_heard_to_the_end()
    {
        XenConsolePort port = _console.CreatePort()!;
        Assert.True(port.TryTake(7));
        string said = new('a', 4096);
        Assert.Equal(said.Length, port.Send(Encoding.ASCII.GetBytes(said)));
        port.Leave();
        string seen = _ring.TakeOutput();
        for (int i = 0; i < 3; i++)
        {
            _console.Handle();
            seen += _ring.TakeOutput();
        }

        Assert.Equal("\u001e7\u001f" + said, seen);
    }

    /// <summary>Of each port so much, whatever is typed on others; and the line goes on.</summary>
    [Fact]
    public void What_is_typed_without_a_client_waits_as_far_as_there_is_room()
    {
        XenConsolePort one = Take(7);
        XenConsolePort two = Take(8);
        Type("\u001e7\u001f" + new string('a', 200) + "\u001e8\u001fto two");
        Type("\u001e7\u001f" + new string('b', 200));
        Type(new string('c', 200));
        Assert.Equal(new string('a', 200) + new string('b', XenConsolePort.InputCapacity - 200), Hears(one, string.Empty));
        Assert.Equal("to two", Hears(two, string.Empty));
        Assert.Equal("more", Hears(one, "more"));
    }

    [Fact]
    public void What_is_typed_between_two_clients_reaches_the_second()
    {
        XenConsolePort port = Take(7);
        Assert.Equal("first", Hears(port, "\u001e7\u001ffirst"));
        port.Client = null;
        Type("second");
        Assert.Equal("second", Hears(port, string.Empty));
    }

    [Fact]
    public void A_client_that_takes_no_more_gets_the_rest_later()
    {
        XenConsolePort port = Take(7);
        Keys keys = new() { IsFull = true };
        port.Client = keys;
        Type("\u001e7\u001ftyped");
        Assert.Equal(string.Empty, keys.Seen);
        keys.IsFull = false;
        port.ReadOn();
        Assert.Equal("typed", keys.Seen);
    }

    /// <summary>As of a guest that is gone, but whose console is there yet.</summary>
    [Fact]
    public void What_is_typed_for_nobody_is_dropped()
    {
        XenConsolePort port = Take(7);
        Type("\u001e7\u001ffor one that is gone");
        port.DropInput();
        Type("for nobody");
        port.KeepInput();
        Type("for the next");
        Assert.Equal("for the next", Hears(port, string.Empty));
    }

    [Fact]
    public void Who_takes_a_port_over_reads_nothing_of_what_waited_for_the_one_before()
    {
        XenConsolePort port = Take(7);
        Type("\u001e7\u001fold");
        port.Leave();
        Type("old");
        Assert.True(port.TryTake(8));
        Type("old\u001e8\u001fnew");
        Assert.Equal("new", Hears(port, string.Empty));

        // The same number, for another guest, on the same port or another.
        Type("old");
        port.Client = null;
        Type("old");
        port.Leave();
        Type("old");
        Assert.True(port.TryTake(8));
        Assert.Equal(string.Empty, Hears(port, string.Empty));
        port.Client = null;
        Type("old");
        port.Leave();
        XenConsolePort other = Take(8);
        Type("new");
        Assert.Equal("new", Hears(other, string.Empty));
    }

    private XenConsolePort Take(uint number)
    {
        XenConsolePort port = _console.CreatePort()!;
        Assert.True(port.TryTake(number));
        return port;
    }

    private void Type(string text)
    {
        _ring.Type(text);
        _console.Handle();
    }

    /// <summary>What reaches a port of what comes on the line.</summary>
    private string Hears(XenConsolePort port, string text)
    {
        Keys keys = new();
        port.Client = keys;
        Type(text);
        return keys.Seen;
    }

    /// <summary>The page of struct xencons_interface, with the other side.</summary>
    private sealed class Ring : SimulatedRegisters
    {
        private readonly byte[] _page = new byte[4096];

        public override ulong Read(ulong offset, int size) => size == 1 ? _page[offset] : Index((int)offset);

        public override void Write(ulong offset, int size, ulong value)
        {
            if (size == 1)
            {
                _page[offset] = (byte)value;
            }
            else
            {
                SetIndex((int)offset, (uint)value);
            }
        }

        public void Type(string text)
        {
            uint producer = Index(XenconsInterface.InputProducer);
            foreach (char key in text)
            {
                _page[XenconsInterface.Input + (producer++ % XenconsInterface.InputSize)] = (byte)key;
            }

            SetIndex(XenconsInterface.InputProducer, producer);
        }

        public string TakeOutput()
        {
            StringBuilder text = new();
            uint consumer = Index(XenconsInterface.OutputConsumer);
            while (consumer != Index(XenconsInterface.OutputProducer))
            {
                text.Append((char)_page[XenconsInterface.Output + (consumer++ % XenconsInterface.OutputSize)]);
            }

            SetIndex(XenconsInterface.OutputConsumer, consumer);
            return text.ToString();
        }

        private uint Index(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_page.AsSpan(offset));

        private void SetIndex(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_page.AsSpan(offset), value);
    }

    private sealed class Keys : ConsoleClient
    {
        public string Seen { get; private set; } = string.Empty;

        public bool IsFull { get; set; }

        public override bool TakesInput => !IsFull;

        public override void Received(ReadOnlySpan<byte> bytes) => Seen += Encoding.ASCII.GetString(bytes);

        public override void RoomAvailable()
        {
        }
    }

    private sealed class Nobody : InterruptHandler
    {
        public override void Handle()
        {
        }
    }
}

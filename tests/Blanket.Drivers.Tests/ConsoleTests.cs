using System;
using System.Linq;
using System.Text;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Drivers.Virtio.Console;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests;

public sealed class ConsoleTests
{
    private static readonly FakeVirtioOptions s_single = new();
    private static readonly FakeVirtioOptions s_multi = new FakeVirtioOptions().With(FakeConsoleDevice.MultiPort);

    private readonly FakeMachine _machine = new(512);

    public static TheoryData<FakeVirtioOptions> Singles => new()
    {
        s_single,
        s_single with { Features = FakeVirtioOptions.Version1 },
        s_single with { Vectors = 0 },
        s_single with { IsLegacy = true, QueueSize = 64 },
        s_single with { IsLegacy = true, QueueSize = 64, Features = 0, Vectors = 0 },
    };

    private FakeConsoleDevice Start(FakeVirtioOptions options, int ports, params (uint, string)[] plugged)
    {
        FakeConsoleDevice device = new(_machine, options, ports);
        device.Ports.AddRange(plugged);
        _machine.Probe();
        _machine.Interrupts.Deliver();
        return device;
    }

    private static byte[] Ascii(string text) => Encoding.ASCII.GetBytes(text);

    [Theory]
    [MemberData(nameof(Singles))]
    public void OnePortSendsAndReceives(FakeVirtioOptions options)
    {
        FakeConsoleDevice device = Start(options, 0);
        Assert.Equal(1, _machine.Found.ConsoleCount);
        ConsolePort port = _machine.Found.Console(0);
        RecordingConsoleClient client = new();
        port.Client = client;
        Assert.Equal(0, port.Name.Length);
        Assert.Equal(6, port.Send("hello\n"u8));
        Assert.Equal("hello\n", device.Output[0].ToString());

        string typed = new('x', 5000);
        for (int i = 0; i < 5; i++)
        {
            Assert.True(device.Type(0, typed.Substring(0, 1000)));
            _machine.Interrupts.Deliver();
        }

        Assert.Equal(typed, client.Text.ToString());
    }

    /// <summary>A turn takes as much as there are buffers; an interrupt has to be asked for also when that was all.</summary>
    [Fact]
    public void InputGoesOnAfterExactlyATurnOfIt()
    {
        FakeConsoleDevice device = Start(s_multi, 4, (0, ""), (1, "one"));
        RecordingConsoleClient client = new();
        _machine.Found.Console(1).Client = client;
        StringBuilder typed = new();
        for (int i = 0; i < 4; i++)
        {
            string turn = new((char)('a' + i), VirtioConsolePort.InputBuffers * VirtioConsolePort.InputBufferSize);
            Assert.True(device.Type(1, turn));
            _machine.Interrupts.Deliver();
            typed.Append(turn);
        }

        Assert.Equal(typed.ToString(), client.Text.ToString());
    }

    /// <summary>A port that nobody reads keeps its buffers, so that the device holds back what is more.</summary>
    [Theory]
    [MemberData(nameof(Singles))]
    public void WhatIsTypedWithoutAClientWaits(FakeVirtioOptions options)
    {
        FakeConsoleDevice device = Start(options, 0);
        ConsolePort port = _machine.Found.Console(0);
        StringBuilder typed = new();
        for (char key = 'a'; device.Type(0, key.ToString()); key++)
        {
            typed.Append(key);
            _machine.Interrupts.Deliver();
        }

        Assert.Equal(VirtioConsolePort.InputBuffers, typed.Length);
        RecordingConsoleClient client = new();
        port.Client = client;
        Assert.Equal(typed.ToString(), client.Text.ToString());
        Assert.True(device.Type(0, "more"));
        _machine.Interrupts.Deliver();
        Assert.Equal(typed + "more", client.Text.ToString());
    }

    /// <summary>As that of a guest that starts again.</summary>
    [Fact]
    public void WhatIsTypedBetweenTwoClientsReachesTheSecond()
    {
        FakeConsoleDevice device = Start(s_multi, 4, (0, ""), (1, "one"));
        ConsolePort port = _machine.Found.FindConsole("one"u8)!;
        RecordingConsoleClient first = new();
        port.Client = first;
        device.Type(1, "first");
        _machine.Interrupts.Deliver();
        port.Client = null;
        device.Type(1, "second");
        _machine.Interrupts.Deliver();
        RecordingConsoleClient second = new();
        port.Client = second;
        Assert.Equal("first", first.Text.ToString());
        Assert.Equal("second", second.Text.ToString());
    }

    [Fact]
    public void AClientThatTakesNoMoreHoldsTheDeviceBack()
    {
        FakeConsoleDevice device = Start(s_single, 0);
        ConsolePort port = _machine.Found.Console(0);
        RecordingConsoleClient client = new() { IsFull = true };
        port.Client = client;
        string turn = new('x', VirtioConsolePort.InputBuffers * VirtioConsolePort.InputBufferSize);
        Assert.True(device.Type(0, turn));
        _machine.Interrupts.Deliver();
        Assert.False(device.Type(0, "held back"));
        Assert.Equal(0, client.Text.Length);

        // It takes a piece, and then has no more room.
        client.FillsUp = true;
        for (int pieces = 1; pieces <= VirtioConsolePort.InputBuffers; pieces++)
        {
            client.IsFull = false;
            port.ReadOn();
            Assert.Equal(pieces * ConsolePort.InputPiece, client.Text.Length);
        }

        client.IsFull = client.FillsUp = false;
        port.ReadOn();
        _machine.Interrupts.Deliver();
        Assert.True(device.Type(0, "later"));
        _machine.Interrupts.Deliver();
        Assert.Equal(turn + "later", client.Text.ToString());
    }

    [Fact]
    public void WhatIsTypedForNobodyIsDropped()
    {
        FakeConsoleDevice device = Start(s_single, 0);
        ConsolePort port = _machine.Found.Console(0);
        device.Type(0, "for one that is gone");
        _machine.Interrupts.Deliver();
        port.DropInput();
        for (int i = 0; i < 100; i++)
        {
            Assert.True(device.Type(0, "for nobody"));
            _machine.Interrupts.Deliver();
        }

        port.KeepInput();
        device.Type(0, "for the next");
        _machine.Interrupts.Deliver();
        RecordingConsoleClient client = new();
        port.Client = client;
        Assert.Equal("for the next", client.Text.ToString());
    }

    [Fact]
    public void WhatIsTypedOnAPortThatIsTakenAwayReachesNoOther()
    {
        FakeConsoleDevice device = Start(s_multi, 8, (1, "one"));
        string turn = new('x', VirtioConsolePort.InputBuffers * VirtioConsolePort.InputBufferSize);
        for (int i = 0; i < 2; i++)
        {
            Assert.True(device.Type(1, turn));
            device.Unplug(1);
            _machine.Interrupts.Deliver();
            device.Plug(1, "another");
            _machine.Interrupts.Deliver();
        }

        Assert.True(device.Type(1, "for it"));
        _machine.Interrupts.Deliver();
        RecordingConsoleClient client = new();
        _machine.Found.FindConsole("another"u8)!.Client = client;
        Assert.Equal("for it", client.Text.ToString());
        Assert.True(device.Type(1, ", too"));
        _machine.Interrupts.Deliver();
        Assert.Equal("for it, too", client.Text.ToString());
    }

    [Property(MaxTest = 100)]
    public void NothingThatIsTypedIsLostWhateverTheTiming(int seed, bool hasEventIndex)
    {
        FakeMachine machine = new(512);
        Random random = new(seed);
        FakeConsoleDevice device = new(machine, hasEventIndex ? s_single : s_single with { Features = FakeVirtioOptions.Version1 }, 0);
        machine.Probe();
        machine.Interrupts.Deliver();
        ConsolePort port = machine.Found.Console(0);
        StringBuilder typed = new();
        StringBuilder seen = new();
        RecordingConsoleClient? client = null;
        for (int i = 0; i < 500; i++)
        {
            string piece = new((char)('a' + i % 26), random.Next(1, ConsolePort.InputPiece + 1));
            typed.Append(device.Type(0, piece) ? piece : string.Empty);
            if (random.Next(3) == 0)
            {
                machine.Interrupts.Deliver();
            }

            if (random.Next(4) == 0)
            {
                Replace(random.Next(2) == 0 ? null : new RecordingConsoleClient { FillsUp = random.Next(2) == 0 });
            }
            else if (client != null && random.Next(2) == 0)
            {
                client.IsFull = false;
                port.ReadOn();
            }
        }

        Replace(new RecordingConsoleClient());
        machine.Interrupts.Deliver();
        Replace(null);
        Assert.Equal(typed.ToString(), seen.ToString());

        void Replace(RecordingConsoleClient? next)
        {
            seen.Append(client?.Text);
            client = next;
            port.Client = next;
        }
    }

    [Fact]
    public void SmallWritesLeaveTogetherAndOverflowIsRefused()
    {
        FakeConsoleDevice device = Start(s_single, 0);
        ConsolePort port = _machine.Found.Console(0);
        RecordingConsoleClient client = new();
        port.Client = client;
        device.IsAutomatic = false;
        StringBuilder expected = new();
        int taken;
        do
        {
            string line = $"line {expected.Length}\n";
            taken = port.Send(Ascii(line));
            expected.Append(line.AsSpan(0, taken));
            Assert.True(expected.Length <= 4096);
        }
        while (taken != 0);

        Assert.Equal(4096, expected.Length);
        Assert.Equal(0, client.Rooms);
        // The first write left alone, all others wait for it.
        Assert.Equal(1, device.Queues[1].Notifications);
        device.IsAutomatic = true;
        device.Process(1);
        _machine.Interrupts.Deliver();
        Assert.Equal(expected.ToString(), device.Output[0].ToString());
        Assert.Equal(1, client.Rooms);
        Assert.InRange(device.Queues[1].Notifications, 2, 3);
    }

    [Fact]
    public void OutputGoesOnWithoutInterrupts()
    {
        FakeConsoleDevice device = Start(s_single, 0);
        ConsolePort port = _machine.Found.Console(0);
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal(10, port.Send("0123456789"u8));
        }

        Assert.Equal(10_000, device.Output[0].Length);
    }

    [Fact]
    public void PortsAreFoundWithTheirNames()
    {
        FakeConsoleDevice device = Start(s_multi, 31, (0, ""), (1, "guest-a"), (5, "guest-b"));
        Assert.Equal(3, _machine.Found.ConsoleCount);
        Assert.Equal([0u, 1u, 5u], device.Open.Order());
        Assert.Equal(0, device.Dropped);
        ConsolePort port = _machine.Found.FindConsole("guest-b"u8)!;
        RecordingConsoleClient client = new();
        port.Client = client;
        port.Send("to b"u8);
        Assert.Equal("to b", device.Output[5].ToString());
        device.Type(5, "from outside");
        device.Type(1, "elsewhere");
        _machine.Interrupts.Deliver();
        Assert.Equal("from outside", client.Text.ToString());
        Assert.Null(_machine.Found.FindConsole("guest-c"u8));
        Assert.Contains("\"guest-a\" \"guest-b\"", _machine.LogText.Text);
    }

    [Fact]
    public void AllPortsOfALargeDeviceAreFound()
    {
        FakeConsoleDevice device = Start(s_multi, 31, [.. Enumerable.Range(0, 31).Select(i => ((uint)i, $"port-{i}"))]);
        Assert.Equal(31, _machine.Found.ConsoleCount);
        Assert.Equal(0, device.Dropped);
        for (int i = 0; i < 31; i++)
        {
            Assert.NotNull(_machine.Found.FindConsole(Ascii($"port-{i}")));
        }
    }

    [Fact]
    public void PortsComeAndGo()
    {
        FakeConsoleDevice device = Start(s_multi, 8, (1, "one"));
        device.Plug(3, "three");
        _machine.Interrupts.Deliver();
        Assert.Equal(2, _machine.Found.ConsoleCount);
        ConsolePort port = _machine.Found.FindConsole("three"u8)!;
        port.Send("a"u8);
        device.Unplug(3);
        _machine.Interrupts.Deliver();
        // Output to a port that is gone is dropped, however much.
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal(10, port.Send("0123456789"u8));
        }

        device.Plug(3, "drei");
        _machine.Interrupts.Deliver();
        Assert.Equal(2, _machine.Found.ConsoleCount);
        Assert.Same(port, _machine.Found.FindConsole("drei"u8));
        port.Send("b"u8);
        Assert.Equal("ab", device.Output[3].ToString());
        RecordingConsoleClient client = new();
        port.Client = client;
        Assert.True(device.Type(3, "still works"));
        _machine.Interrupts.Deliver();
        Assert.Equal("still works", client.Text.ToString());
    }

    [Fact]
    public void NonsenseOnTheControlQueueIsIgnored()
    {
        FakeConsoleDevice device = Start(s_multi, 4, (1, "one"));
        int lines = _machine.LogText.Lines;
        device.SendControl(4, 1, 1, "");
        device.SendControl(uint.MaxValue, 1, 1, "");
        device.SendControl(1, 99, 1, "");
        device.SendControl(1, 7, 1, new string('n', 115));
        Assert.True(device.Queues[2].TryPop(out FakeChain? chain));
        device.Complete(2, chain!, 3);
        Assert.True(device.Queues[2].TryPop(out chain));
        device.Complete(2, chain!, 5000);
        _machine.Interrupts.Deliver();
        Assert.Equal(1, _machine.Found.ConsoleCount);
        Assert.Equal(112, _machine.Found.Console(0).Name.Length);
        Assert.InRange(_machine.LogText.Lines - lines, 4, 6);
    }

    [Fact]
    public void AResetBringsPortsAndOutputBack()
    {
        FakeConsoleDevice device = Start(s_multi, 4, (0, ""), (1, "one"));
        ConsolePort port = _machine.Found.FindConsole("one"u8)!;
        RecordingConsoleClient client = new();
        port.Client = client;
        device.IsAutomatic = false;
        port.Send("kept"u8);
        device.IsAutomatic = true;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.Equal(2, _machine.Found.ConsoleCount);
        Assert.Equal([0u, 1u], device.Open.Order());
        Assert.Equal("kept", device.Output[1].ToString());
        device.Type(1, "in");
        _machine.Interrupts.Deliver();
        Assert.Equal("in", client.Text.ToString());
    }

    [Fact]
    public void ABrokenOutputRingIsRecoveredFromSend()
    {
        FakeConsoleDevice device = Start(s_single, 0);
        ConsolePort port = _machine.Found.Console(0);
        device.IsAutomatic = false;
        port.Send("first"u8);
        device.Queues[1].PushRaw(77, 0);
        port.Send(" second"u8);
        device.IsAutomatic = true;
        _machine.Interrupts.Deliver();
        Assert.Equal(2, device.Resets);
        Assert.Equal("first second", device.Output[0].ToString());
    }

    [Fact]
    public void WrongInputLengthsAreIgnored()
    {
        FakeConsoleDevice device = Start(s_single, 0);
        RecordingConsoleClient client = new();
        _machine.Found.Console(0).Client = client;
        Assert.True(device.Queues[0].TryPop(out FakeChain? chain));
        device.Complete(0, chain!, 257);
        device.Type(0, "ok");
        _machine.Interrupts.Deliver();
        Assert.Equal("ok", client.Text.ToString());
    }

    [Property(MaxTest = 40)]
    public void OutputKeepsItsOrderWhateverTheTiming(int seed, bool hasSeveralPorts)
    {
        FakeMachine machine = new(512);
        Random random = new(seed);
        int count = hasSeveralPorts ? 3 : 1;
        FakeConsoleDevice device = new(machine, hasSeveralPorts ? s_multi : s_single, hasSeveralPorts ? count : 0);
        device.Ports.AddRange(Enumerable.Range(0, hasSeveralPorts ? count : 0).Select(number => ((uint)number, $"port-{number}")));
        machine.Probe();
        machine.Interrupts.Deliver();
        StringBuilder[] expected = [.. Enumerable.Range(0, count).Select(_ => new StringBuilder())];
        for (int i = 0; i < 500; i++)
        {
            device.IsAutomatic = random.Next(4) == 0;
            int number = random.Next(count);
            byte[] bytes = new byte[random.Next(1, 400)];
            Array.Fill(bytes, (byte)('a' + i % 26));
            expected[number].Append(Encoding.ASCII.GetString(bytes, 0, machine.Found.Console(number).Send(bytes)));
            if (random.Next(3) == 0)
            {
                device.Process(TransmitQueueOf(number));
            }

            if (random.Next(3) == 0)
            {
                machine.Interrupts.Deliver();
            }
        }

        // All that is left goes out by interrupts alone.
        device.IsAutomatic = true;
        for (int number = 0; number < count; number++)
        {
            device.Process(TransmitQueueOf(number));
        }

        machine.Interrupts.Deliver();
        for (int number = 0; number < count; number++)
        {
            Assert.Equal(expected[number].ToString(), device.Output[number].ToString());
        }

        static int TransmitQueueOf(int port) => port == 0 ? 1 : 3 + 2 * port;
    }
}

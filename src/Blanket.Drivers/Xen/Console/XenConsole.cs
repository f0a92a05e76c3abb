using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Console;

/// <summary>
/// The primary PV console of L1's domain (io/console.h), shared by Blanket's log and the guests' consoles: bytes belong to the port that
/// the last sequence <c>RS number US</c> named. Works without events for output, so it is there early and in a panic.
/// </summary>
public sealed class XenConsole : InterruptHandler
{
    /// <summary>RS.</summary>
    internal const byte SequenceStart = 0x1e;

    /// <summary>US.</summary>
    internal const byte SequenceEnd = 0x1f;

    /// <summary>Port of Blanket's log.</summary>
    public const uint LogPort = 1;

    // The log's, the operator's, and one for each guest.
    private const int MaximumPorts = BootBundle.MaximumGuests + 2;
    private const int MaximumDigits = 5;
    private const uint MaximumNumber = 99_999;
    private const int MaximumSequence = MaximumDigits + 2;
    private const int LogCapacity = 32 * 1024;
    internal const int GuestCapacity = 4 * 1024;
    private const int NoPort = -1;

    // So much of one port's output before another port has its turn.
    private const int TurnBytes = 512;
    private const ulong DrainNanoseconds = 2_000_000_000;

    private readonly XenHypercalls _xen;
    private readonly XenConsolePort?[] _ports = new XenConsolePort?[MaximumPorts];
    private readonly byte[] _input = new byte[XenconsInterface.InputSize];
    private DeviceRegisters _ring;
    private SpinLock _lock = new(LockClass.ConsoleOutput);
    private uint _eventPort;
    private int _portCount;
    private int _turn;
    private uint _outputPort = LogPort;

    // Input: who gets the next bytes, and the number of a sequence that is under way.
    private uint _inputPort = LogPort;
    private uint _number;
    private int _digits = NoPort;

    /// <summary>The console whose ring is at a window; with the port of the log.</summary>
    public XenConsole(XenHypercalls xen, DeviceRegisters ring, uint eventPort)
    {
        _xen = xen;
        _ring = ring;
        _eventPort = eventPort;
        Log = CreatePort(LogCapacity)!;
        Log.TryTake(LogPort);
    }

    /// <summary>The log's port.</summary>
    public XenConsolePort Log { get; }

    /// <summary>The event channel of the line, for <see cref="EventPorts.Attach"/>.</summary>
    public uint EventPort => _eventPort;

    /// <summary>Adds a port, which has no number yet. Null when there are too many.</summary>
    public XenConsolePort? CreatePort() => CreatePort(GuestCapacity);

    /// <summary>The port that had a number last; null when there is none.</summary>
    private XenConsolePort? FindPort(uint number)
    {
        for (int i = 0; i < _portCount; i++)
        {
            if (_ports[i]!.Number == number)
            {
                return _ports[i];
            }
        }

        return null;
    }

    /// <summary>After a restore: another ring and event channel; the line begins at the log's port again.</summary>
    public void Restore(DeviceRegisters ring, uint eventPort)
    {
        _lock.Acquire();
        _ring = ring;
        _eventPort = eventPort;
        _outputPort = LogPort;
        _inputPort = LogPort;
        _digits = NoPort;
        _lock.Release();
        Handle();
    }

    /// <summary>The other side took bytes or sent some.</summary>
    public override void Handle()
    {
        _lock.Acquire();
        bool moved = MoveOutput();
        int received = TakeInput();
        _lock.Release();
        if (moved || received != 0)
        {
            Notify();
        }

        Interpret(new ReadOnlySpan<byte>(_input, 0, received));
        TellOfRoom();
    }

    /// <summary>Waits until the other side has taken everything, for a bounded time: before the machine ends.</summary>
    public void Drain()
    {
        ulong end = SystemTime.Now + DrainNanoseconds;
        while (SystemTime.Now < end)
        {
            // Without the lock: whoever held it may have been stopped.
            bool moved = MoveOutput();
            if (moved)
            {
                Notify();
            }
            else if (_ring.Read32(XenconsInterface.OutputConsumer) == _ring.Read32(XenconsInterface.OutputProducer))
            {
                return;
            }

            Cpu.Pause();
        }
    }

    internal int Send(XenConsolePort port, ReadOnlySpan<byte> bytes)
    {
        _lock.Acquire();
        int taken = port.Queue(bytes);
        bool moved = MoveOutput();
        _lock.Release();
        if (moved)
        {
            Notify();
        }

        return taken;
    }

    /// <summary>Keeps what was typed on a port; returns how much.</summary>
    internal int Keep(XenConsolePort port, ReadOnlySpan<byte> bytes)
    {
        _lock.Acquire();
        int count = port.KeepTyped(bytes);
        _lock.Release();
        return count;
    }

    /// <summary>Takes what is kept of it; returns how much.</summary>
    internal int TakeTyped(XenConsolePort port, Span<byte> piece)
    {
        _lock.Acquire();
        int count = port.TakeTyped(piece);
        _lock.Release();
        return count;
    }

    /// <summary>Gives a port a number, unless another port has it (<see cref="XenConsolePort.TryTake"/>).</summary>
    internal bool TryTake(XenConsolePort port, uint number)
    {
        if (number is 0 or > MaximumNumber)
        {
            return false;
        }

        _lock.Acquire();
        XenConsolePort? holder = FindPort(number);
        bool isFree = holder is not { IsTaken: true };
        if (isFree)
        {
            holder?.Renumber(0);
            port.Renumber(number);
            port.IsTaken = true;
            port.KeepInput();
        }

        _lock.Release();
        return isFree;
    }

    private XenConsolePort? CreatePort(int capacity)
    {
        if (_portCount == MaximumPorts)
        {
            return null;
        }

        XenConsolePort port = new(this, capacity);
        _lock.Acquire();
        _ports[_portCount] = port;
        _portCount++;
        _lock.Release();
        return port;
    }

    private void Notify()
    {
        uint argument = _eventPort;
        _xen.EventChannel(EventChannelOp.Send, ref argument);
    }

    /// <summary>Moves waiting bytes into the ring, port after port.</summary>
    private bool MoveOutput()
    {
        uint first = _ring.Read32(XenconsInterface.OutputProducer);
        uint producer = first;
        uint used = unchecked(first - _ring.Read32(XenconsInterface.OutputConsumer));
        int room = used <= XenconsInterface.OutputSize ? XenconsInterface.OutputSize - (int)used : 0;
        for (int idle = 0; idle < _portCount && room > MaximumSequence;)
        {
            XenConsolePort port = _ports[_turn]!;
            if (port.Waiting == 0)
            {
                idle++;
            }
            else
            {
                idle = 0;
                room -= MoveTurn(port, room, ref producer);
            }

            _turn = (_turn + 1) % _portCount;
        }

        Interlocked.MemoryBarrier();
        _ring.Write32(XenconsInterface.OutputProducer, producer);
        return producer != first;
    }

    private int MoveTurn(XenConsolePort port, int room, ref uint producer)
    {
        uint start = producer;
        if (_outputPort != port.Number)
        {
            _outputPort = port.Number;
            PathBuilder sequence = new(stackalloc byte[MaximumSequence]);
            sequence.Append(SequenceStart);
            sequence.AppendDecimal(port.Number);
            sequence.Append(SequenceEnd);
            foreach (byte value in sequence.Text)
            {
                Put(ref producer, value);
            }
        }

        int limit = Math.Min(room, TurnBytes);
        while (port.Waiting != 0 && (int)unchecked(producer - start) < limit)
        {
            Put(ref producer, port.Take());
        }

        return (int)unchecked(producer - start);
    }

    private void Put(ref uint producer, byte value)
    {
        _ring.Write8(XenconsInterface.Output + producer % XenconsInterface.OutputSize, value);
        producer = unchecked(producer + 1);
    }

    /// <summary>Copies what was typed out of the ring.</summary>
    private int TakeInput()
    {
        uint consumer = _ring.Read32(XenconsInterface.InputConsumer);
        uint count = unchecked(_ring.Read32(XenconsInterface.InputProducer) - consumer);
        if (count > XenconsInterface.InputSize)
        {
            return 0;
        }

        Interlocked.MemoryBarrier();
        for (uint i = 0; i < count; i++)
        {
            _input[i] = _ring.Read8(XenconsInterface.Input + unchecked(consumer + i) % XenconsInterface.InputSize);
        }

        Interlocked.MemoryBarrier();
        _ring.Write32(XenconsInterface.InputConsumer, unchecked(consumer + count));
        return (int)count;
    }

    private void Interpret(ReadOnlySpan<byte> bytes)
    {
        int start = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            byte value = bytes[i];
            if (value == SequenceStart)
            {
                Deliver(bytes.Slice(start, i - start));
                _digits = 0;
                _number = 0;
            }
            else if (_digits >= 0)
            {
                TakeSequenceByte(value);
            }
            else
            {
                continue;
            }

            start = i + 1;
        }

        Deliver(bytes.Slice(start));
    }

    private void TakeSequenceByte(byte value)
    {
        if (value == SequenceEnd && _digits > 0)
        {
            _inputPort = _number;
            _digits = NoPort;
        }
        else if (value is >= (byte)'0' and <= (byte)'9' && _digits < MaximumDigits)
        {
            _number = _number * 10 + value - '0';
            _digits++;
        }
        else
        {
            // What follows is nobody's, until the next sequence.
            _inputPort = 0;
            _digits = NoPort;
        }
    }

    private void Deliver(ReadOnlySpan<byte> bytes)
    {
        XenConsolePort? port = bytes.IsEmpty || _inputPort == 0 ? null : FindPort(_inputPort);
        if (port != null)
        {
            port.Type(bytes);
        }
    }

    private void TellOfRoom()
    {
        for (int i = 0; i < _portCount; i++)
        {
            XenConsolePort port = _ports[i]!;
            _lock.Acquire();
            bool hasRoom = port.HasRefused && port.Waiting < GuestCapacity / 2;
            if (hasRoom)
            {
                port.HasRefused = false;
            }

            _lock.Release();
            ConsoleClient? client = hasRoom ? port.Client : null;
            if (client != null)
            {
                client.RoomAvailable();
            }
        }
    }
}

using System;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// The pair of byte rings of a console (io/console.h) and the port of L0 that it shows up at. While the port is slow the guest's ring
/// stays full, as on stock Xen; a port that takes nothing for long is taken for closed, and output is kept, the oldest
/// discarded, until the port takes bytes again. So a guest is never stuck on its console. Input that there is no room for, or no guest yet or any more,
/// waits at the port.
/// </summary>
internal sealed class ConsoleRing : RingWorker
{
    /// <summary>Nanoseconds without progress after which a port is taken for closed.</summary>
    internal const ulong Patience = 1_000_000_000;

    /// <summary>Bytes of output kept for a closed port.</summary>
    internal const int HistorySize = 16 * 1024;

    /// <summary>Bytes of input kept for a guest that does not read.</summary>
    internal const int InputSize = 2 * 1024;

    private const int PieceSize = 512;

    /// <summary>Pieces of output moved in a round: two rings full.</summary>
    private const int PiecesPerRound = 8;

    private readonly BackendBus _bus;
    private readonly BackendDevice _device;
    private readonly ConsolePort? _port;
    private readonly RingPages _pages = new(1);
    private readonly EventLink _events;
    private readonly ByteQueue _history = new(HistorySize);
    private readonly ByteQueue _input = new(InputSize);
    private SpinLock _inputLock = new(LockClass.Backend);
    private ulong _base;
    private ulong _stuckSince = BackendBus.Never;
    private int _hasRoom;

    /// <summary>A console that is connected to no guest yet.</summary>
    /// <param name="bus">The machine's backends.</param>
    /// <param name="device">The device that it belongs to.</param>
    /// <param name="port">L0's port; null for a console that nobody sees.</param>
    internal ConsoleRing(BackendBus bus, BackendDevice device, ConsolePort? port)
        : base(bus, device.Domain)
    {
        _bus = bus;
        _device = device;
        _port = port;
        _events = new EventLink(bus, this);
        if (port != null)
        {
            port.Client = new PortClient(this);
        }
    }

    /// <summary>When the port is to be given up; <see cref="BackendBus.Never"/> while it is not stuck.</summary>
    internal override ulong WakeTime
    {
        get
        {
            ulong since = Volatile.Read(ref _stuckSince);
            return since == BackendBus.Never || _bus.Now - since >= Patience ? BackendBus.Never : since + Patience;
        }
    }

    /// <summary>What a guest printed last is still sent when the guest is gone.</summary>
    private protected override bool IsIdle => _history.Count == 0 || IsGivenUp;

    /// <summary>Starts on a page and a port of its guest.</summary>
    /// <returns>0 or a negative errno; nothing is held then.</returns>
    internal int Attach(uint reference, uint port)
    {
        int error = _pages.Pin(Guest, reference);
        if (error != 0)
        {
            return error;
        }

        _base = _pages.Frames[0] << Cpu.PageShift;
        error = _events.Bind(Guest, port);
        if (error != 0)
        {
            _pages.Release();
            return error;
        }

        Open();
        _port?.ReadOn();
        return 0;
    }

    /// <summary>Lets go of the page and the port. False while output is still to be sent.</summary>
    internal bool TryFinishDetach()
    {
        if (!IsDrained)
        {
            return false;
        }

        _events.Close();
        _pages.Release();
        return true;
    }

    /// <summary>Gives up a port that has been stuck for too long.</summary>
    internal void CheckPatience()
    {
        if (Volatile.Read(ref _stuckSince) != BackendBus.Never)
        {
            Kick();
        }
    }

    /// <summary>Leaves L0's port to others.</summary>
    internal void ReleasePort()
    {
        if (_port != null)
        {
            _port.Client = null;
        }
    }

    /// <inheritdoc/>
    private protected override bool WorkOnRings()
    {
        bool hasMore = MoveOutput(out bool tookOutput);
        if (IsOpen && (MoveInput() || tookOutput))
        {
            _events.Notify();
        }

        return hasMore && IsOpen;
    }

    /// <inheritdoc/>
    private protected override void Report() => _device.Notice();

    private bool MoveOutput(out bool tookAny)
    {
        tookAny = false;
        if (Interlocked.Exchange(ref _hasRoom, 0) != 0)
        {
            Volatile.Write(ref _stuckSince, BackendBus.Never);
        }

        Span<byte> piece = stackalloc byte[PieceSize];
        for (int i = 0; i < PiecesPerRound; i++)
        {
            int count = PeekOutput(piece);
            int taken = Send(piece.Slice(0, count));
            if (taken != 0)
            {
                tookAny = true;
                uint consumer = Read(XenconsInterface.OutputConsumer);
                Write(XenconsInterface.OutputConsumer, unchecked(consumer + (uint)taken));
            }

            if (taken < count || count == 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Sends what is kept, then new bytes; returns how many of the new ones may leave the ring.</summary>
    private int Send(ReadOnlySpan<byte> bytes)
    {
        if (_port == null)
        {
            return bytes.Length;
        }

        while (_history.Count != 0 && !IsStuck)
        {
            int sent = SendToPort(_history.Oldest);
            _history.Remove(sent);
        }

        int taken = IsStuck || bytes.IsEmpty ? 0 : SendToPort(bytes);
        if (taken < bytes.Length && (IsGivenUp || !IsOpen))
        {
            _history.AppendOverOldest(bytes.Slice(taken));
            return bytes.Length;
        }

        return taken;
    }

    private int SendToPort(ReadOnlySpan<byte> bytes)
    {
        int sent = Math.Min(_port!.Send(bytes), bytes.Length);
        if (sent < bytes.Length)
        {
            Volatile.Write(ref _stuckSince, _bus.Now);
            _bus.RequestProcess();
        }

        return sent;
    }

    private bool IsStuck => _stuckSince != BackendBus.Never;

    private bool IsGivenUp => IsStuck && _bus.Now - _stuckSince >= Patience;

    /// <summary>Whether a piece of input is for this guest, and there is room for it.</summary>
    private bool TakesInput => IsOpen && !Guest.IsShutDown && !Guest.IsDying && InputSize - _input.Count >= ConsolePort.InputPiece;

    /// <summary>Copies the guest's oldest bytes without taking them; 0 also while the indexes make no sense.</summary>
    private int PeekOutput(Span<byte> piece)
    {
        uint consumer = Read(XenconsInterface.OutputConsumer);
        uint count = unchecked(Read(XenconsInterface.OutputProducer) - consumer);
        if (count == 0 || count > XenconsInterface.OutputSize)
        {
            return 0;
        }

        int start = (int)(consumer & (XenconsInterface.OutputSize - 1));
        int length = Math.Min(Math.Min((int)count, piece.Length), XenconsInterface.OutputSize - start);
        PhysicalMemory.Bytes(_base + XenconsInterface.Output + (uint)start, length).CopyTo(piece);
        return length;
    }

    /// <summary>Moves input to the guest as far as there is room; true when there was any.</summary>
    private bool MoveInput()
    {
        uint producer = Read(XenconsInterface.InputProducer);
        uint used = unchecked(producer - Read(XenconsInterface.InputConsumer));
        if (used >= XenconsInterface.InputSize)
        {
            return false;
        }

        int room = XenconsInterface.InputSize - (int)used;
        _inputLock.Acquire();
        bool hasRefused = InputSize - _input.Count < ConsolePort.InputPiece;
        int moved = 0;
        while (moved < room && _input.Count != 0)
        {
            int start = (int)(unchecked(producer + (uint)moved) & (XenconsInterface.InputSize - 1));
            ReadOnlySpan<byte> oldest = _input.Oldest;
            int length = Math.Min(Math.Min(room - moved, oldest.Length), XenconsInterface.InputSize - start);
            oldest.Slice(0, length).CopyTo(PhysicalMemory.Bytes(_base + XenconsInterface.Input + (uint)start, length));
            _input.Remove(length);
            moved += length;
        }

        _inputLock.Release();
        if (moved != 0)
        {
            Write(XenconsInterface.InputProducer, unchecked(producer + (uint)moved));
        }

        if (hasRefused)
        {
            _port?.ReadOn();
        }

        return moved != 0;
    }

    private uint Read(int offset) => PhysicalMemory.Read<uint>(_base + (uint)offset);

    private void Write(int offset, uint value) => PhysicalMemory.Write(_base + (uint)offset, value);

    /// <summary>What L0's port tells.</summary>
    private sealed class PortClient(ConsoleRing ring) : ConsoleClient
    {
        public override bool TakesInput => ring.TakesInput;

        public override void Received(ReadOnlySpan<byte> bytes)
        {
            ring._inputLock.Acquire();
            ring._input.Append(bytes);
            ring._inputLock.Release();
            ring.Kick();
        }

        public override void RoomAvailable()
        {
            Volatile.Write(ref ring._hasRoom, 1);
            ring.Kick();
        }
    }
}

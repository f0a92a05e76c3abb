using System;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Console;

/// <summary>
/// One port of a virtio console. Output is copied into a byte ring and leaves it in as large pieces as there are, one in flight;
/// so many small writes cost few notifications. Output to a port that is not there is dropped, as on an unplugged cable. Input that nobody takes stays
/// where the device put it: when that are all buffers, the device holds back what comes after it.
/// </summary>
internal sealed class VirtioConsolePort : ConsolePort
{
    /// <summary>Bytes of the output ring.</summary>
    public const int OutputSize = 4096;

    /// <summary>Receive buffers, and bytes of each.</summary>
    public const int InputBuffers = 16;
    public const int InputBufferSize = InputPiece;

    /// <summary>The most bytes of a name.</summary>
    public const int MaximumName = 112;

    private readonly VirtioConsoleDevice _device;
    private readonly Virtqueue _receive;
    private readonly Virtqueue _transmit;
    private readonly ulong _input;
    private readonly ulong _output;
    private readonly byte[] _name = new byte[MaximumName];
    private int _nameLength;
    private bool _isPresent;

    // The output ring, under the transmit queue's lock: _queued bytes from _tail on, the first _inFlight of which the device has.
    private int _tail;
    private int _queued;
    private int _inFlight;
    private bool _hasRefused;

    // Whether something was taken from the transmit queue, or given up by it, since an interrupt was asked for last.
    private bool _mustRequestInterrupt;

    // Whether input was left for the next turn, which comes, and no interrupt asked for.
    private bool _hasLeftInput;

    public VirtioConsolePort(VirtioConsoleDevice device, Virtqueue receive, Virtqueue transmit, ulong input, ulong output)
    {
        _device = device;
        _receive = receive;
        _transmit = transmit;
        _input = input;
        _output = output;
    }

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Name => new(_name, 0, Volatile.Read(ref _nameLength));

    /// <summary>Whether L0 has plugged the port in.</summary>
    public bool IsPresent
    {
        get => Volatile.Read(ref _isPresent);
        set => Volatile.Write(ref _isPresent, value);
    }

    /// <summary>
    /// Whether <see cref="Service"/> has anything to do. All ports share an interrupt, and most have nothing to do with any one of them.
    /// </summary>
    /// <remarks>
    /// Another CPU that sends may take what the interrupt came for: it says so in <see cref="Reap"/> before it does, hence the order here.
    /// </remarks>
    public bool HasWork =>
        _transmit.HasUsed || Volatile.Read(ref _mustRequestInterrupt) || Volatile.Read(ref _hasRefused)
        || Volatile.Read(ref _hasLeftInput) || (_receive.HasUsed && MayPassOn);

    /// <summary>Whether the port is in the list of devices.</summary>
    public bool IsListed { get; set; }

    /// <inheritdoc/>
    public override int Send(ReadOnlySpan<byte> bytes)
    {
        if (_device.IsFailed || !IsPresent)
        {
            return bytes.Length;
        }

        _transmit.Lock.Acquire();
        // Looking here too lets output go on where no interrupt is taken.
        Reap();
        int taken = Copy(bytes);
        _hasRefused |= taken < bytes.Length;
        bool mustNotify = SubmitNext();
        _transmit.Lock.Release();
        if (mustNotify)
        {
            _device.Transport.Notify(_transmit);
        }

        if (_device.Health.NeedsReset)
        {
            _device.ServePortsLater();
        }

        return taken;
    }

    /// <summary>Keeps a name, cut at <see cref="MaximumName"/> bytes.</summary>
    public void SetName(ReadOnlySpan<byte> name)
    {
        int length = Math.Min(name.Length, MaximumName);
        Volatile.Write(ref _nameLength, 0);
        name.Slice(0, length).CopyTo(_name);
        Volatile.Write(ref _nameLength, length);
    }

    /// <summary>Gives the device all receive buffers that it does not have.</summary>
    public void FillReceive()
    {
        _receive.Lock.Acquire();
        while (_receive.TryBegin(1, out DescriptorChain chain))
        {
            AddInput(ref chain);
        }

        bool mustNotify = _receive.Publish();
        _receive.Lock.Release();
        if (mustNotify)
        {
            _device.Transport.Notify(_receive);
        }
    }

    /// <summary>Serves both queues.</summary>
    public void Service()
    {
        ServiceTransmit();
        Volatile.Write(ref _hasLeftInput, false);
        ReadOn();
    }

    /// <summary>L0 has taken the port away. The next one in its place is another's, who gets nothing of what was typed on this one.</summary>
    public void Unplug()
    {
        IsPresent = false;
        SetName(default);
        DropInput();
        KeepInput();
        Client?.RoomAvailable();
    }

    /// <summary>The device was reset with a piece of output in flight: it is sent again.</summary>
    public void GiveUpOutput()
    {
        _inFlight = 0;
        _mustRequestInterrupt = true;
    }

    private void ServiceTransmit()
    {
        bool hasRoom = false;
        bool mustNotify = false;
        _transmit.Lock.Acquire();
        do
        {
            Reap();
            mustNotify |= SubmitNext();
            _mustRequestInterrupt = false;
        }
        while (!_transmit.TryRequestInterrupt());

        if (_hasRefused && _queued < OutputSize)
        {
            _hasRefused = false;
            hasRoom = true;
        }

        _transmit.Lock.Release();
        if (mustNotify)
        {
            _device.Transport.Notify(_transmit);
        }

        if (hasRoom)
        {
            Client?.RoomAvailable();
        }
    }

    /// <inheritdoc/>
    protected override void PassInputOn()
    {
        // This turn is over, and another will come; but nobody is to get what is dropped here.
        if (Volatile.Read(ref _hasLeftInput) && !IsDropping)
        {
            return;
        }

        Span<byte> copy = stackalloc byte[InputBufferSize];
        // As many as there are buffers, then other ports have their turn.
        int budget = InputBuffers;
        do
        {
            while (budget > 0 && MayPassOn && TryReceive(copy, out int length))
            {
                budget--;
                PassOn(copy.Slice(0, length));
            }
        }
        while (budget > 0 && MayPassOn && !TryRequestReceiveInterrupt());

        FillReceive();
        Volatile.Write(ref _hasLeftInput, budget == 0);
        if (budget == 0 || _device.Health.NeedsReset)
        {
            _device.ServePortsLater();
        }
    }

    private bool TryReceive(Span<byte> copy, out int length)
    {
        length = 0;
        bool isWrong = false;
        _receive.Lock.Acquire();
        bool found = _receive.TryTakeUsed(out ushort id, out uint written);
        if (found)
        {
            isWrong = written > InputBufferSize;
            length = isWrong ? 0 : (int)written;
            PhysicalMemory.Bytes(_input + id * (uint)InputBufferSize, length).CopyTo(copy);
        }

        _receive.Lock.Release();
        if (isWrong)
        {
            _device.Health.Report(VirtioFault.WrongLength, _receive.Index, written);
        }

        return found;
    }

    private bool TryRequestReceiveInterrupt()
    {
        _receive.Lock.Acquire();
        bool isIdle = _receive.TryRequestInterrupt();
        _receive.Lock.Release();
        return isIdle;
    }

    private void AddInput(ref DescriptorChain chain)
    {
        _receive.Append(ref chain, _input + chain.Head * (uint)InputBufferSize, InputBufferSize, true);
        _receive.Add(ref chain);
    }

    private void Reap()
    {
        if (!_transmit.HasUsed)
        {
            return;
        }

        Volatile.Write(ref _mustRequestInterrupt, true);
        while (_transmit.TryTakeUsed(out _, out _))
        {
            _tail = (_tail + _inFlight) % OutputSize;
            _queued -= _inFlight;
            _inFlight = 0;
        }
    }

    private int Copy(ReadOnlySpan<byte> bytes)
    {
        int taken = Math.Min(bytes.Length, OutputSize - _queued);
        int head = (_tail + _queued) % OutputSize;
        int first = Math.Min(taken, OutputSize - head);
        Span<byte> ring = PhysicalMemory.Bytes(_output, OutputSize);
        bytes.Slice(0, first).CopyTo(ring.Slice(head));
        bytes.Slice(first, taken - first).CopyTo(ring);
        _queued += taken;
        return taken;
    }

    private bool SubmitNext()
    {
        if (_inFlight != 0 || _queued == 0 || !_transmit.TryBegin(1, out DescriptorChain chain))
        {
            return false;
        }

        _inFlight = Math.Min(_queued, OutputSize - _tail);
        _transmit.Append(ref chain, _output + (uint)_tail, (uint)_inFlight, false);
        _transmit.Add(ref chain);
        return _transmit.Publish();
    }
}

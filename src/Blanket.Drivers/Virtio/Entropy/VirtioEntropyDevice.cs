using System;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Entropy;

/// <summary>The entropy device driver (virtio 1.2, 5.4): one buffer that is asked for again when it has been used up.</summary>
internal sealed class VirtioEntropyDevice : VirtioDevice
{
    private const int BufferSize = 256;
    private Virtqueue? _queue;
    private ulong _buffer;

    // Under the queue's lock: bytes that arrived, and how many of them were taken.
    private int _arrived;
    private int _taken;

    public VirtioEntropyDevice(VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator allocator)
        : base(transport, function, mapper, allocator)
    {
        Source = new VirtioEntropy(this);
    }

    /// <summary>What is used of the device.</summary>
    public VirtioEntropy Source { get; }

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> Kind => "entropy"u8;

    /// <summary>Takes bytes that have arrived and asks for more.</summary>
    public int TryTake(Span<byte> destination)
    {
        uint wrongLength = 0;
        _queue!.Lock.Acquire();
        Reap(ref wrongLength);
        int count = Math.Min(destination.Length, _arrived - _taken);
        Span<byte> source = PhysicalMemory.Bytes(_buffer + (uint)_taken, count);
        source.CopyTo(destination);
        // Nobody gets the same bytes again.
        source.Clear();
        _taken += count;
        bool mustNotify = Ask();
        _queue.Lock.Release();
        Finish(mustNotify, wrongLength);
        if (Health.NeedsReset)
        {
            ServeLater(0);
        }

        return count;
    }

    /// <summary>Asks for the first bytes and logs what was found; once, after the start.</summary>
    public void Introduce()
    {
        ServiceGroup(0);
        Describe().End();
    }

    /// <inheritdoc/>
    protected override ulong ChooseFeatures(ulong offered) => 0;

    /// <inheritdoc/>
    protected override bool CreateQueues()
    {
        GroupCount = 1;
        _queue = CreateQueue(0, 0, 2, 0);
        DmaMemory? memory = CreateMemory(BufferSize);
        _buffer = memory == null ? 0 : memory.Address;
        return _queue != null && memory != null;
    }

    /// <inheritdoc/>
    protected override void ServiceGroup(int group)
    {
        uint wrongLength = 0;
        bool mustNotify = false;
        _queue!.Lock.Acquire();
        do
        {
            Reap(ref wrongLength);
            mustNotify |= Ask();
        }
        while (wrongLength == 0 && !_queue.TryRequestInterrupt());

        _queue.Lock.Release();
        Finish(mustNotify, wrongLength);
    }

    /// <summary>The device has no configuration.</summary>
    protected override void ServiceConfiguration()
    {
    }

    /// <summary>What was asked for is asked for again by the next service.</summary>
    protected override void GiveUp(Virtqueue queue)
    {
    }

    /// <inheritdoc/>
    protected override void Restarted()
    {
    }

    private void Reap(ref uint wrongLength)
    {
        while (_queue!.TryTakeUsed(out _, out uint length))
        {
            if (length is 0 or > BufferSize)
            {
                // Asking again at once could go on for ever: the next taker asks.
                wrongLength = length == 0 ? uint.MaxValue : length;
                _arrived = 0;
            }
            else
            {
                _arrived = (int)length;
            }

            _taken = 0;
        }
    }

    private bool Ask()
    {
        if (_taken < _arrived || _queue!.InFlight != 0 || !_queue.TryBegin(1, out DescriptorChain chain))
        {
            return false;
        }

        _arrived = 0;
        _taken = 0;
        _queue.Append(ref chain, _buffer, BufferSize, true);
        _queue.Add(ref chain);
        return _queue.Publish();
    }

    private void Finish(bool mustNotify, uint wrongLength)
    {
        if (wrongLength != 0)
        {
            Health.Report(VirtioFault.WrongLength, 0, wrongLength);
        }

        if (mustNotify)
        {
            Transport.Notify(_queue!);
        }
    }
}

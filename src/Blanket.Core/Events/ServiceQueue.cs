using Blanket.Core.Storage;

namespace Blanket.Core.Events;

/// <summary>One CPU's raised service channels, first come first served, linked through their records. Only its CPU touches it.</summary>
internal sealed class ServiceQueue
{
    private uint _head;

    /// <summary>The newest channel's index plus 1; 0 when empty.</summary>
    public uint Tail { get; private set; }

    /// <summary>Index plus 1 of the channel whose handler runs on this CPU; 0 for none.</summary>
    public uint Running;

    public bool IsEmpty => _head == 0;

    /// <summary>Appends a channel that is in no queue.</summary>
    public void Enqueue(FrameArray<ServiceChannelRecord> records, uint index)
    {
        records[index].Next = 0;
        if (Tail == 0)
        {
            _head = index + 1;
        }
        else
        {
            records[Tail - 1].Next = index + 1;
        }

        Tail = index + 1;
    }

    /// <summary>Takes the oldest channel.</summary>
    public bool TryDequeue(FrameArray<ServiceChannelRecord> records, out uint index)
    {
        index = 0;
        if (_head == 0)
        {
            return false;
        }

        index = _head - 1;
        _head = records[index].Next;
        if (_head == 0)
        {
            Tail = 0;
        }

        return true;
    }
}

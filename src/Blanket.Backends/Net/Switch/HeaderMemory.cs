using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>Frames for the copied beginnings of packets.</summary>
internal sealed class HeaderMemory
{
    private const int PerFrame = Cpu.PageSize / Packet.HeaderCapacity;

    private readonly ulong[] _frames;
    private int _count;

    /// <summary>Memory for a number of packets; none yet.</summary>
    internal HeaderMemory(int packets) => _frames = new ulong[(packets + PerFrame - 1) / PerFrame];

    /// <summary>Takes the frames; false, with none taken, when memory is out.</summary>
    internal bool TryAllocate()
    {
        while (_count < _frames.Length)
        {
            if (!FrameAllocator.TryAllocateZeroed(out _frames[_count]))
            {
                Free();
                return false;
            }

            _count++;
        }

        return true;
    }

    /// <summary>Physical address for a packet.</summary>
    internal ulong Address(int packet) =>
        (_frames[packet / PerFrame] << Cpu.PageShift) + (uint)(packet % PerFrame * Packet.HeaderCapacity);

    /// <summary>Scrubs the frames and gives them back.</summary>
    internal void Free()
    {
        while (_count > 0)
        {
            _count--;
            PhysicalMemory.ZeroFrame(_frames[_count]);
            FrameAllocator.Free(_frames[_count]);
        }
    }
}

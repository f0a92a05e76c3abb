using System;
using Blanket.Machine;

namespace Blanket.Drivers;

/// <summary>Memory in a row that a device and its driver share. The owner keeps it until the device is reset.</summary>
internal sealed class DmaMemory
{
    private readonly int _order;

    private DmaMemory(ulong address, int order)
    {
        Address = address;
        _order = order;
    }

    /// <summary>Physical address, aligned to its size rounded up to a power of two.</summary>
    public ulong Address { get; }

    /// <summary>Used by the owner to chain its memory.</summary>
    public DmaMemory? Next { get; set; }

    /// <summary>Zeroed memory.</summary>
    /// <param name="bytes">At least so many bytes.</param>
    /// <param name="limit">First physical address that the device cannot reach.</param>
    /// <returns>Null when memory is out.</returns>
    public static DmaMemory? Create(ulong bytes, ulong limit)
    {
        int order = 0;
        while (order < FrameAllocator.MaximumOrder && ((ulong)Cpu.PageSize << order) < bytes)
        {
            order++;
        }

        if (((ulong)Cpu.PageSize << order) < bytes
            || !FrameAllocator.TryAllocate(order, limit >> Cpu.PageShift, out ulong frame))
        {
            return null;
        }

        for (ulong i = 0; i < 1UL << order; i++)
        {
            PhysicalMemory.ZeroFrame(frame + i);
        }

        return new DmaMemory(frame << Cpu.PageShift, order);
    }

    /// <summary>Gives the frames back, zeroed; the device must have been reset.</summary>
    public void Free()
    {
        for (ulong i = 0; i < 1UL << _order; i++)
        {
            PhysicalMemory.ZeroFrame((Address >> Cpu.PageShift) + i);
        }

        FrameAllocator.Free(Address >> Cpu.PageShift, _order);
    }
}

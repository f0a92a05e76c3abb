using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>XENMEM_memory_map and its kin: the pseudo-physical memory map that a domain sees.</summary>
public static class MemoryMaps
{
    private const uint MaximumEntries = 1024;
    private const int Order = 3;
    private const int EntrySize = 20;

    /// <summary>Gives a domain a map of one piece of memory that begins at 0, as toolstacks do for PV guests.</summary>
    /// <returns>False when memory is out.</returns>
    public static bool TrySetLimit(Domain domain, ulong bytes)
    {
        if (!TryPrepare(domain))
        {
            return false;
        }

        domain.MemoryMapLock.Acquire();
        PhysicalMemory.At<MemoryMapEntry>(domain.MemoryMapFrame << Cpu.PageShift) =
            new MemoryMapEntry { Address = 0, Size = bytes, Type = MemoryMapEntry.Ram };
        domain.MemoryMapEntries = 1;
        domain.MemoryMapLock.Release();
        return true;
    }

    /// <summary>Frees a domain's map.</summary>
    internal static void Free(Domain domain)
    {
        domain.MemoryMapLock.Acquire();
        ulong frame = domain.MemoryMapFrame;
        domain.MemoryMapFrame = 0;
        domain.MemoryMapEntries = 0;
        domain.MemoryMapLock.Release();
        if (frame != 0)
        {
            FreeFrames(frame);
        }
    }

    internal static long Handle(Vcpu caller, uint command, ulong argument)
    {
        switch (command)
        {
            case MemoryCommand.MemoryMap:
                return Get(caller.Domain, argument);
            case MemoryCommand.SetMemoryMap:
                return Set(caller.Domain, argument);
            default:
                // XENMEM_machine_memory_map: what L0 gave is told to nobody.
                return caller.Domain.MayManageMemory ? -Errno.EOPNOTSUPP : -Errno.EPERM;
        }
    }

    private static long Get(Domain domain, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out MemoryMap map))
        {
            return -Errno.EFAULT;
        }

        domain.MemoryMapLock.Acquire();
        long result = GetLocked(domain, argument, map);
        domain.MemoryMapLock.Release();
        return result;
    }

    private static long GetLocked(Domain domain, ulong argument, MemoryMap map)
    {
        if (domain.MemoryMapEntries == 0)
        {
            return -Errno.ENOSYS;
        }

        map.EntryCount = System.Math.Min(map.EntryCount, domain.MemoryMapEntries);
        int bytes = (int)map.EntryCount * EntrySize;
        bool copied = GuestMemory.TryWrite(map.Buffer, PhysicalMemory.Bytes(domain.MemoryMapFrame << Cpu.PageShift, bytes))
            && GuestMemory.TryWrite(argument, in map);
        return copied ? 0 : -Errno.EFAULT;
    }

    private static long Set(Domain caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out ushort id) || !GuestMemory.TryRead(unchecked(argument + 8), out MemoryMap map))
        {
            return -Errno.EFAULT;
        }

        if (map.EntryCount > MaximumEntries)
        {
            return -Errno.EINVAL;
        }

        int result = FrameOwnerArgument.FindAny(caller, id, out Domain subject);
        if (result != 0)
        {
            return result;
        }

        if (!TryPrepare(subject))
        {
            return -Errno.ENOMEM;
        }

        subject.MemoryMapLock.Acquire();
        bool copied = GuestMemory.TryRead(
            map.Buffer, PhysicalMemory.Bytes(subject.MemoryMapFrame << Cpu.PageShift, (int)map.EntryCount * EntrySize));
        subject.MemoryMapEntries = copied ? map.EntryCount : 0;
        subject.MemoryMapLock.Release();
        return copied ? 0 : -Errno.EFAULT;
    }

    /// <summary>Makes room for a map of the largest size, once.</summary>
    private static bool TryPrepare(Domain domain)
    {
        if (domain.MemoryMapFrame != 0)
        {
            return true;
        }

        if (domain.IsDying || !FrameAllocator.TryAllocate(Order, ulong.MaxValue, out ulong frame))
        {
            return false;
        }

        domain.MemoryMapLock.Acquire();
        bool taken = domain.MemoryMapFrame == 0;
        if (taken)
        {
            domain.MemoryMapFrame = frame;
        }

        domain.MemoryMapLock.Release();
        if (!taken)
        {
            FrameAllocator.Free(frame, Order);
        }

        return true;
    }

    private static void FreeFrames(ulong frame)
    {
        for (ulong i = 0; i < 1UL << Order; i++)
        {
            PhysicalMemory.ZeroFrame(frame + i);
        }

        FrameAllocator.Free(frame, Order);
    }
}

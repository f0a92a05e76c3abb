using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>Changing the version of the entries (GNTTABOP_set_version) and swapping entries (GNTTABOP_swap_grant_ref).</summary>
public sealed partial class GrantTable
{
    /// <summary>Changes the version; all entries but the reserved ones become invalid.</summary>
    /// <returns>
    /// 0; -EINVAL for an unknown version; -ENOSYS for one that the domain may not use; -EBUSY while entries are in use; -EAGAIN while
    /// parts of pages are in use; -ERANGE when version 1 cannot express a reserved entry; -ENOMEM.
    /// </returns>
    internal int SetVersion(uint version)
    {
        if (version is not (1 or 2))
        {
            return -Errno.EINVAL;
        }

        if (version > _maximumVersion)
        {
            return -Errno.ENOSYS;
        }

        _control.Acquire();
        int result = 0;
        if (version != _version)
        {
            result = version == 2 && !TryAddStatusFrames(_sharedFrameCount) ? -Errno.ENOMEM : ChangeVersion((int)version);
        }

        _control.Release();
        return result;
    }

    /// <summary>Exchanges two entries that are not in use.</summary>
    /// <returns>GNTST_okay, GNTST_bad_gntref, GNTST_eagain.</returns>
    internal short Swap(uint one, uint other)
    {
        _entries.Acquire();
        short status = GrantTableStatus.Okay;
        if (one >= EntryCount || other >= EntryCount)
        {
            status = GrantTableStatus.BadReference;
        }
        else if (one != other)
        {
            status = _active[one].Pins != 0 || _active[other].Pins != 0 ? GrantTableStatus.Again : GrantTableStatus.Okay;
            if (status == GrantTableStatus.Okay)
            {
                SwapEntries(one, other);
            }
        }

        _entries.Release();
        return status;
    }

    private void SwapEntries(uint one, uint other)
    {
        int words = (_version == 1 ? GrantTableEntry.SizeV1 : GrantTableEntry.SizeV2) / sizeof(ulong);
        for (int i = 0; i < words; i++)
        {
            ulong offset = (ulong)i * sizeof(ulong);
            ulong first = PhysicalMemory.Read<ulong>(EntryAddress(one) + offset);
            ulong second = PhysicalMemory.Read<ulong>(EntryAddress(other) + offset);
            PhysicalMemory.Write(EntryAddress(one) + offset, second);
            PhysicalMemory.Write(EntryAddress(other) + offset, first);
        }

        if (_version == 2)
        {
            ushort first = PhysicalMemory.Read<ushort>(StatusAddress(one));
            ushort second = PhysicalMemory.Read<ushort>(StatusAddress(other));
            PhysicalMemory.Write(StatusAddress(one), second);
            PhysicalMemory.Write(StatusAddress(other), first);
        }
    }

    private int ChangeVersion(int version)
    {
        _entries.Acquire();
        int result = CheckUnused(version);
        System.Span<ulong> reserved = stackalloc ulong[(int)GrantTableEntry.Reserved];
        if (result == 0)
        {
            result = ReadReserved(version, reserved);
        }

        if (result == 0)
        {
            ClearEntries();
            Volatile.Write(ref _version, version);
            WriteReserved(reserved);
        }

        _entries.Release();
        return result;
    }

    // The reserved entries may stay in use: the services keep them.
    private int CheckUnused(int version)
    {
        int reservedInUse = 0;
        for (uint reference = 0; reference < GrantTableEntry.Reserved; reference++)
        {
            reservedInUse += _active[reference].Pins != 0 ? 1 : 0;
        }

        if (_entriesInUse != reservedInUse)
        {
            return -Errno.EBUSY;
        }

        return version == 1 && _partialEntriesInUse != 0 ? -Errno.EAGAIN : 0;
    }

    /// <summary>Reads the reserved entries once, as version 1 entries with the status flags in their flags.</summary>
    private int ReadReserved(int version, System.Span<ulong> reserved)
    {
        for (uint reference = 0; reference < GrantTableEntry.Reserved; reference++)
        {
            ulong address = EntryAddress(reference);
            if (version == 2)
            {
                reserved[(int)reference] = PhysicalMemory.Read<ulong>(address);
                continue;
            }

            uint header = PhysicalMemory.Read<uint>(address);
            ulong frame = PhysicalMemory.Read<ulong>(address + GrantTableEntry.FrameOffsetV2);
            uint type = header & GrantTableFlags.TypeMask;
            if (type == GrantTableFlags.Transitive || (type == GrantTableFlags.PermitAccess && frame > uint.MaxValue))
            {
                return -Errno.ERANGE;
            }

            uint status = PhysicalMemory.Read<ushort>(StatusAddress(reference));
            reserved[(int)reference] = type == GrantTableFlags.PermitAccess ? header | status | (frame << 32) : 0;
        }

        return 0;
    }

    private void ClearEntries()
    {
        for (int i = 0; i < _sharedFrameCount; i++)
        {
            PhysicalMemory.ZeroFrame(_sharedFrames[i]);
        }

        for (int i = 0; i < _statusFrameCount; i++)
        {
            PhysicalMemory.ZeroFrame(_statusFrames[i]);
        }
    }

    private void WriteReserved(System.Span<ulong> reserved)
    {
        const uint statusFlags = GrantTableFlags.Reading | GrantTableFlags.Writing;
        for (uint reference = 0; reference < GrantTableEntry.Reserved; reference++)
        {
            ulong entry = reserved[(int)reference];
            ulong address = EntryAddress(reference);
            if (_version == 1)
            {
                PhysicalMemory.Write(address, entry);
                continue;
            }

            PhysicalMemory.Write(StatusAddress(reference), (ushort)(entry & statusFlags));
            PhysicalMemory.Write(address + GrantTableEntry.FrameOffsetV2, entry >> 32);
            PhysicalMemory.Write(address, (uint)entry & ~statusFlags);
        }
    }
}

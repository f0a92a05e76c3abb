using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// The grant table of L1's own domain, by which backends of L0 reach memory of L1 (version 1; the guests' tables are in Core/Grants).
/// References are reserved when a device is made; granting and revoking takes no lock and allocates nothing.
/// </summary>
public sealed class GrantAccess
{
    private const int EntriesPerFrame = Cpu.PageSize / GrantTableEntry.SizeV1;

    /// <summary>The most frames that are used: Xen's default limit.</summary>
    public const int MaximumFrames = 64;

    private const uint NoReference = uint.MaxValue;

    private readonly XenHypercalls _xen;
    private readonly ulong[] _frames = new ulong[MaximumFrames];

    // Free references are chained here and not in the table: L0 can write there.
    private readonly uint[] _next = new uint[MaximumFrames * EntriesPerFrame];
    private SpinLock _lock = new(LockClass.DriverTransport);
    private int _frameCount;
    private int _frameLimit;
    private uint _free = NoReference;

    private GrantAccess(XenHypercalls xen) => _xen = xen;

    /// <summary>References that grant nothing and are not reserved, without growing.</summary>
    public int FreeCount { get; private set; }

    /// <summary>Frames of the table.</summary>
    public int FrameCount => _frameCount;

    /// <summary>Maps the table's first frame; once at boot. Null when Xen refuses or memory is out.</summary>
    public static GrantAccess? Create(XenHypercalls xen)
    {
        GrantAccess grants = new(xen);
        GrantQuerySizeArgument size = new() { Domain = DomainId.Self };
        bool known = xen.Call(HypercallNumber.GrantTableOp, GrantTableOp.QuerySize, ref size, 1) == 0
            && size.Status == GrantTableStatus.Okay;
        grants._frameLimit = known ? (int)System.Math.Min(size.MaximumFrames, MaximumFrames) : 1;
        return grants.TryGrow() ? grants : null;
    }

    /// <summary>Reserves a reference that grants nothing; grows the table when there is none.</summary>
    /// <returns>False when the table has its greatest size.</returns>
    public bool TryReserve(out uint reference)
    {
        _lock.Acquire();
        bool found = _free != NoReference || TryGrow();
        reference = _free;
        if (found)
        {
            _free = _next[reference];
            FreeCount--;
        }

        _lock.Release();
        return found;
    }

    /// <summary>Gives back a reference that grants nothing.</summary>
    public void Release(uint reference)
    {
        Check.That((Volatile.Read(ref Head(reference)) & (GrantTableFlags.Reading | GrantTableFlags.Writing)) == 0);
        _lock.Acquire();
        AddFree(reference);
        _lock.Release();
    }

    /// <summary>Lets a domain use a frame of L1's memory.</summary>
    /// <param name="reference">A reserved reference that grants nothing.</param>
    /// <param name="domain">Who may use it.</param>
    /// <param name="frame">Frame number of L1's, below 2^32.</param>
    /// <param name="isReadOnly">Whether it may only be read.</param>
    public void Grant(uint reference, ushort domain, ulong frame, bool isReadOnly)
    {
        PhysicalMemory.Write(Address(reference) + GrantTableEntry.FrameOffsetV1, (uint)frame);
        uint flags = GrantTableFlags.PermitAccess | (isReadOnly ? GrantTableFlags.ReadOnly : 0u);

        // The frame is there before the entry becomes valid.
        Volatile.Write(ref Head(reference), flags | ((uint)domain << 16));
    }

    /// <summary>Ends a grant.</summary>
    /// <returns>False while the domain uses it: nothing has changed, and the frame must stay what it is.</returns>
    public bool TryRevoke(uint reference)
    {
        ref uint head = ref Head(reference);
        while (true)
        {
            uint old = Volatile.Read(ref head);
            if ((old & (GrantTableFlags.Reading | GrantTableFlags.Writing)) != 0)
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref head, 0, old) == old)
            {
                return true;
            }
        }
    }

    /// <summary>After a restore: the new domain's table, empty, in the same frames. Reserved references stay reserved and grant nothing.</summary>
    /// <returns>False when Xen refuses.</returns>
    public bool TryResume()
    {
        for (int i = 0; i < _frameCount; i++)
        {
            if (_xen.MapFrame(MemoryAddToPhysmap.SpaceGrantTable, (ulong)i, _frames[i]) != 0)
            {
                return false;
            }
        }

        return true;
    }

    private bool TryGrow()
    {
        if (_frameCount == _frameLimit || !FrameAllocator.TryAllocateZeroed(out ulong frame))
        {
            return false;
        }

        if (_xen.MapFrame(MemoryAddToPhysmap.SpaceGrantTable, (ulong)_frameCount, frame) != 0)
        {
            // What was at that place is not known now: the frame is lost rather than used.
            _frameLimit = _frameCount;
            return false;
        }

        int first = _frameCount * EntriesPerFrame;
        _frames[_frameCount++] = frame;
        for (int i = EntriesPerFrame - 1; i >= 0; i--)
        {
            if (first + i >= GrantTableEntry.Reserved)
            {
                AddFree((uint)(first + i));
            }
        }

        return true;
    }

    private void AddFree(uint reference)
    {
        _next[reference] = _free;
        _free = reference;
        FreeCount++;
    }

    private ulong Address(uint reference) =>
        (_frames[reference / EntriesPerFrame] << Cpu.PageShift) + reference % EntriesPerFrame * GrantTableEntry.SizeV1;

    /// <summary>Flags and domain of an entry, changed together.</summary>
    private ref uint Head(uint reference) => ref PhysicalMemory.At<uint>(Address(reference));
}

using System;
using Blanket.Abi.Xen;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>mmu_update, mmuext_op and update_va_mapping as a guest sees them.</summary>
public sealed class MmuUpdateTests
{
    private const ulong Done = TestGuest.ArgumentBase + 0x8000;

    private readonly TestMachine _machine = new();
    private readonly TestGuest _guest;
    private readonly TestGuest _other;

    public MmuUpdateTests()
    {
        _guest = new TestGuest(_machine, 1, 32, 2);
        _other = new TestGuest(_machine, 2, 16);
        _guest.Use(0);
        _guest.BuildTree(F(4));
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
    }

    private ulong F(int index) => _guest.Frames[index];

    private ulong L1(int slot) => TestGuest.EntryAddress(F(3), slot);

    [Fact]
    public void ABatchStopsAtTheFirstErrorAndTellsHowManyAreDone()
    {
        MmuUpdate[] requests =
        [
            new() { Pointer = L1(1), Value = TestGuest.Entry(F(5), TestGuest.WritableFlags) },
            new() { Pointer = L1(2), Value = TestGuest.Entry(F(6), TestGuest.Flags) },
            new() { Pointer = L1(3), Value = TestGuest.Entry(F(3), TestGuest.WritableFlags) },
            new() { Pointer = L1(4), Value = TestGuest.Entry(F(7), TestGuest.Flags) },
        ];
        Assert.Equal(-Errno.EBUSY, _guest.MmuUpdate(requests, DomainId.Self, Done));
        Assert.Equal(2u, _guest.Load<uint>(Done));
        Assert.NotEqual(0UL, TestGuest.Get(F(3), 2));
        Assert.Equal(0UL, TestGuest.Get(F(3), 4));
        _machine.Audit();
    }

    [Fact]
    public void APreemptedBatchCountsAllThatIsDone()
    {
        MmuUpdate[] requests = new MmuUpdate[200];
        for (int i = 0; i < requests.Length; i++)
        {
            requests[i] = new() { Pointer = L1(i), Value = TestGuest.Entry(F(5 + i % 20), TestGuest.Flags) };
        }

        int goes = 0;
        _guest.Preempted = () => goes++ >= 0;
        Assert.Equal(0, _guest.MmuUpdate(requests, DomainId.Self, Done));
        Assert.True(goes > 2);
        Assert.Equal(200u, _guest.Load<uint>(Done));
        Assert.Equal(TestGuest.Entry(F(5 + 199 % 20), TestGuest.Flags | PageTableEntry.Global), TestGuest.Get(F(3), 199));
        _machine.Audit();
    }

    [Fact]
    public void PreservingKeepsAccessedAndDirty()
    {
        TestGuest.Set(F(3), 0, TestGuest.Get(F(3), 0) | PageTableEntry.Dirty);
        ulong value = TestGuest.Entry(F(4), PageTableEntry.Present | PageTableEntry.User);
        Assert.Equal(0, _guest.MmuUpdate(L1(0) | MmuUpdate.PreserveAccessedDirty, value));
        Assert.Equal(
            value | PageTableEntry.Global | PageTableEntry.Accessed | PageTableEntry.Dirty, TestGuest.Get(F(3), 0));
        Assert.Equal(0, _guest.MmuUpdate(L1(0), value));
        Assert.Equal(value | PageTableEntry.Global, TestGuest.Get(F(3), 0));
        _machine.Audit();
    }

    [Fact]
    public void DataFramesAreWrittenAsTheyAre()
    {
        Assert.Equal(0, _guest.MmuUpdate(TestGuest.EntryAddress(F(10), 7), 0x1234_5678_9abc_def1));
        Assert.Equal(0x1234_5678_9abc_def1UL, TestGuest.Get(F(10), 7));
        _machine.Audit();
    }

    [Fact]
    public void TheMachineToPhysicalTableIsSet()
    {
        Assert.Equal(0, _guest.MmuUpdate(F(10) << 12 | MmuUpdate.MachineToPhysical, 77));
        Assert.Equal(77UL, MachineToPhysical.Get(F(10)));
        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(_other.Frames[0] << 12 | MmuUpdate.MachineToPhysical, 77));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(7)]
    public void UnknownCommandsAreNotThere(int command) =>
        Assert.Equal(-Errno.ENOSYS, _guest.MmuUpdate(L1(0) | (uint)command, 0));

    [Fact]
    public void OtherDomainsFramesAreBusy()
    {
        ulong foreign = TestGuest.Entry(_other.Frames[0], TestGuest.Flags);
        Assert.Equal(-Errno.EBUSY, _guest.MmuUpdate(L1(1), foreign));
        Assert.Equal(-Errno.EPERM, _guest.MmuUpdate(L1(1), foreign, 2));
        Assert.Equal(-Errno.ESRCH, _guest.MmuUpdate(L1(1), foreign, 1));
        Assert.Equal(-Errno.ESRCH, _guest.MmuUpdate(L1(1), foreign, 9));
        Assert.Equal(-Errno.EPERM, _guest.MmuUpdate(TestGuest.EntryAddress(_other.Frames[0], 0), 0, DomainId.Self | 3u << 16));
        Assert.Equal(-Errno.EPERM, _guest.MmuUpdate(L1(1), foreign, DomainId.Io));
        _machine.Audit();
    }

    [Fact]
    public void AControlDomainMapsOthersFrames()
    {
        _guest.Domain.MayManageMemory = true;
        ulong foreign = _other.Frames[0];
        Assert.Equal(0, _guest.MmuUpdate(L1(1), TestGuest.Entry(foreign, TestGuest.WritableFlags), 2));
        Assert.Equal(2UL, TestGuest.References(foreign));
        Assert.Equal(FrameType.Writable, TestGuest.TypeOf(foreign));
        _machine.Audit();

        // A type change would flush the owner's CPUs only, so the mapper's are flushed when the mapping goes.
        _guest.Domain.DirtyCpus.Add(7);
        Assert.Equal(0, _guest.MmuUpdate(L1(1), 0));
        Assert.Equal(new CpuSet { Low = 1 << 7 }, Assert.Single(_machine.Remote.Flushes));
        Assert.Equal(0, _guest.MmuUpdate(L1(1), TestGuest.Entry(foreign, TestGuest.WritableFlags), 2));

        // The owner dies; the frame stays until it is unmapped.
        _machine.Destroy(_other.Domain);
        Assert.Equal(1UL, _other.Domain.FrameCount);
        _guest.Use(0);
        Assert.Equal(0, _guest.MmuUpdate(L1(1), 0));
        Assert.True(_other.Domain.OwnsNoFrames);
        _machine.Audit();
    }

    [Fact]
    public void AControlDomainChangesOthersTables()
    {
        _guest.Domain.MayManageMemory = true;
        _other.Use(0);
        _other.BuildTree(_other.Frames[4]);
        Assert.Equal(0, RootTable.Install(_other.Vcpu, _other.Frames[0]));
        _guest.Use(0);
        ulong pointer = TestGuest.EntryAddress(_other.Frames[3], 1);
        ulong value = TestGuest.Entry(_other.Frames[5], TestGuest.Flags);
        Assert.Equal(-Errno.EBUSY, _guest.MmuUpdate(pointer, value, DomainId.Self | 3u << 16));
        Assert.Equal(0, _guest.MmuUpdate(pointer, value, 2 | 3u << 16));
        _machine.Audit();
    }

    [Fact]
    public void ArgumentsThatAreNotThereFault()
    {
        Assert.Equal(-Errno.EFAULT, _guest.Call(MmuUpdateHypercall.Handle, 0x1000, 1, 0, DomainId.Self));
        Assert.Equal(-Errno.EFAULT, _guest.Call(MmuUpdateHypercall.Handle, AddressSpace.DirectMapBase, 1, 0, DomainId.Self));
        Assert.Equal(-Errno.EFAULT, _guest.Call(MmuUpdateHypercall.Handle, ulong.MaxValue - 8, 1, 0, DomainId.Self));
        Assert.Equal(0, _guest.Call(MmuUpdateHypercall.Handle, TestGuest.ArgumentBase, 0, 0, DomainId.Self));
        Assert.Equal(-Errno.EFAULT, _guest.Call(MmuExtendedHypercall.Handle, 0x1000, 1, 0, DomainId.Self));
    }

    [Fact]
    public void UpdateVaMappingFindsTheEntry()
    {
        ulong entry = TestGuest.Entry(F(9), TestGuest.WritableFlags);
        Assert.Equal(0, _guest.UpdateVa(5 << 12, entry, MmuVaMappingFlags.InvalidatePage | MmuVaMappingFlags.All));
        Assert.Equal(entry | PageTableEntry.Global, TestGuest.Get(F(3), 5));
        Assert.Equal(-Errno.EINVAL, _guest.UpdateVa(1UL << 21, entry));
        Assert.Equal(-Errno.EINVAL, _guest.UpdateVa(1UL << 39, entry));
        Assert.Equal(-Errno.EINVAL, _guest.UpdateVa(AddressSpace.DirectMapBase, entry));
        Assert.Equal(-Errno.EINVAL, _guest.UpdateVa(0x0000_8000_0000_0000, entry));
        Assert.Equal(-Errno.EFAULT, _guest.UpdateVa(5 << 12, 0, MmuVaMappingFlags.TlbFlush | 0x2000));
        Assert.Equal(
            -Errno.EPERM, _guest.Call(UpdateVaMappingHypercall.HandleOtherDomain, 5 << 12, entry, 0, 2));
        _machine.Audit();
    }

    [Fact]
    public void RootsAreExchanged()
    {
        TestGuest.Set(F(8), 0, TestGuest.Entry(F(1), TestGuest.WritableFlags));
        TestGuest.Set(F(9), 0, TestGuest.Entry(F(1), TestGuest.WritableFlags));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(8)));
        Assert.Equal(F(8), _guest.Vcpu.KernelRoot);
        Assert.Equal(F(8) << 12, _guest.Vcpu.State.KernelCr3);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewUserBasePointer, F(9)));
        Assert.Equal(F(9) << 12, _guest.Vcpu.State.UserCr3);
        _machine.Audit();
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewUserBasePointer, 0));
        Assert.Equal(0UL, _guest.Vcpu.State.UserCr3);
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.NewBasePointer, 0));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(1)));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.NewBasePointer, _other.Frames[0]));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.NewBasePointer, 1UL << 50));
        Assert.Equal(-Errno.EPERM, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(8), domain: 2));
        _machine.Audit();
    }

    [Theory]
    [InlineData(MmuExtendedCommand.TlbFlushLocal, 0)]
    [InlineData(MmuExtendedCommand.TlbFlushAll, 0)]
    [InlineData(MmuExtendedCommand.InvalidatePageLocal, 0)]
    [InlineData(MmuExtendedCommand.InvalidatePageAll, 0)]
    [InlineData(MmuExtendedCommand.FlushCache, -Errno.EACCES)]
    [InlineData(MmuExtendedCommand.FlushCacheGlobal, -Errno.EINVAL)]
    [InlineData(MmuExtendedCommand.MarkSuper, -Errno.EOPNOTSUPP)]
    [InlineData(MmuExtendedCommand.UnmarkSuper, -Errno.EOPNOTSUPP)]
    [InlineData(14u, -Errno.ENOSYS)]
    [InlineData(21u, -Errno.ENOSYS)]
    public void ExtendedOperations(uint command, int result) => Assert.Equal(result, _guest.Extended(command));

    [Fact]
    public void MasksOfVcpusAreRead()
    {
        _guest.Store<ulong>(TestGuest.ArgumentBase + 0x100, [ulong.MaxValue]);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.TlbFlushMulti, 0, TestGuest.ArgumentBase + 0x100));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.InvalidatePageMulti, 0, 0x10));
    }

    [Fact]
    public void RemoteCpusAreFlushedWhereTheVcpusRan()
    {
        // vCPU 1 ran on CPU 5.
        _guest.Domain.Vcpus[1]!.DirtyCpu = 5;
        _guest.Domain.DirtyCpus.Add(5);
        TlbFlush.EnterVcpu(_guest.Vcpu);
        _machine.Remote.Flushes.Clear();

        _guest.Store<ulong>(TestGuest.ArgumentBase + 0x100, [1UL]);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.TlbFlushMulti, 0, TestGuest.ArgumentBase + 0x100));
        Assert.Empty(_machine.Remote.Flushes);
        _guest.Store<ulong>(TestGuest.ArgumentBase + 0x100, [2UL]);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.TlbFlushMulti, 0, TestGuest.ArgumentBase + 0x100));
        Assert.Equal(new CpuSet { Low = 1 << 5 }, Assert.Single(_machine.Remote.Flushes));
    }

    [Fact]
    public void ATypeChangeFlushesOnlyCpusThatHaveNotFlushedSince()
    {
        TlbFlush.EnterVcpu(_guest.Vcpu);
        _guest.Domain.DirtyCpus.Add(5);
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(20)));
        FrameReference.PutWritable(F(20));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.TlbFlushAll));
        _machine.Remote.Flushes.Clear();
        Assert.Equal(0, _guest.Pin(F(20), 1));
        Assert.Empty(_machine.Remote.Flushes);

        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(21)));
        FrameReference.PutWritable(F(21));
        Assert.Equal(0, _guest.Pin(F(21), 1));
        Assert.Equal(new CpuSet { Low = 1 << 5 }, Assert.Single(_machine.Remote.Flushes));
    }

    [Fact]
    public void PagesAreClearedAndCopied()
    {
        PhysicalMemory.Frame(F(10)).Fill(0x55);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.CopyPage, F(11), F(10)));
        Assert.Equal(0x55, PhysicalMemory.Frame(F(11))[4095]);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.ClearPage, F(10)));
        Assert.Equal(0, PhysicalMemory.Frame(F(10))[4095]);
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.ClearPage, F(3)));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.CopyPage, F(3), F(10)));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.CopyPage, F(10), _other.Frames[0]));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.CopyPage, F(10), F(3)));
        _machine.Audit();
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(2)]
    [InlineData(1)]
    public void WritesToReadOnlyTablesAreCheckedAndDone(int size)
    {
        // The L1 table maps itself, read-only, at linear 7 << 12.
        Assert.Equal(0, _guest.MmuUpdate(L1(7), TestGuest.Entry(F(3), TestGuest.Flags)));
        ulong linear = (7UL << 12) + 10 * 8;
        ulong entry = TestGuest.Entry(F(9), TestGuest.Flags) | PageTableEntry.GuestKernel;
        for (int offset = 8 - size; offset >= 0; offset -= size)
        {
            // Low bytes last: the entry becomes present with the last write.
            PageTableWriteResult result = GuestPageTableWrites.TryWrite(
                _guest.Vcpu, linear + (uint)offset, 0, entry >> (offset * 8), size, false, out ulong seen);
            Assert.Equal(PageTableWriteResult.Written, result);
            Assert.Equal(0UL, seen);
        }

        Assert.Equal(entry, TestGuest.Get(F(3), 10));
        Assert.Equal(2UL, TestGuest.References(F(9)));
        _machine.Audit();
    }

    [Fact]
    public void CompareExchangeOfAnEntry()
    {
        Assert.Equal(0, _guest.MmuUpdate(L1(7), TestGuest.Entry(F(3), TestGuest.Flags)));
        ulong linear = (7UL << 12) + 10 * 8;
        ulong entry = TestGuest.Entry(F(9), TestGuest.WritableFlags) | PageTableEntry.GuestKernel;
        Assert.Equal(
            PageTableWriteResult.Different, GuestPageTableWrites.TryWrite(_guest.Vcpu, linear, 1, entry, 8, true, out ulong seen));
        Assert.Equal(0UL, seen);
        Assert.Equal(PageTableWriteResult.Written, GuestPageTableWrites.TryWrite(_guest.Vcpu, linear, 0, entry, 8, true, out _));
        Assert.Equal(PageTableWriteResult.Written, GuestPageTableWrites.TryWrite(_guest.Vcpu, linear, 0, 0, 8, false, out seen));
        Assert.Equal(entry, seen);
        Assert.Equal(1UL, TestGuest.References(F(9)));
        Assert.Equal(
            PageTableWriteResult.Refused,
            GuestPageTableWrites.TryWrite(_guest.Vcpu, linear, 0, TestGuest.Entry(F(3), TestGuest.WritableFlags), 8, false, out _));
        Assert.Equal(
            PageTableWriteResult.NotPageTable, GuestPageTableWrites.TryWrite(_guest.Vcpu, linear + 1, 0, 0, 8, false, out _));
        Assert.Equal(
            PageTableWriteResult.NotPageTable, GuestPageTableWrites.TryWrite(_guest.Vcpu, 0, 0, 0, 8, false, out _));
        _machine.Audit();
    }

    [Fact]
    public void TranslationFollowsTheAccess()
    {
        Assert.Equal(0, _guest.MmuUpdate(L1(1), TestGuest.Entry(F(5), TestGuest.Flags | PageTableEntry.NoExecute)));
        Assert.True(GuestPageWalk.TryTranslate(_guest.Vcpu, 0x1234, false, false, out ulong physical, out ulong entry));
        Assert.Equal(F(5) << 12 | 0x234, physical);
        Assert.Equal(F(5), PageTableEntry.Frame(entry));
        Assert.False(GuestPageWalk.TryTranslate(_guest.Vcpu, 0x1234, true, false, out _, out entry));
        Assert.NotEqual(0UL, entry);
        Assert.False(GuestPageWalk.TryTranslate(_guest.Vcpu, 0x1234, false, true, out _, out _));
        Assert.True(GuestPageWalk.TryTranslate(_guest.Vcpu, 0x10, true, true, out _, out _));
        Assert.False(GuestPageWalk.TryTranslate(_guest.Vcpu, 0x2000, false, false, out _, out entry));
        Assert.Equal(0UL, entry);
        Assert.False(GuestPageWalk.TryTranslate(_guest.Vcpu, AddressSpace.ImageBase, false, false, out _, out _));
        _guest.Vcpu.State.InKernel = 0;
        Assert.False(GuestPageWalk.TryTranslate(_guest.Vcpu, 0x10, false, false, out _, out _));
    }

    [Fact]
    public void GrantedFramesAreMappedAndUnmapped()
    {
        ulong frame = _other.Frames[3];
        Assert.True(FrameReference.TryGetWritable(_other.Domain, frame));
        ulong entry = TestGuest.Entry(frame, PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.NoExecute);
        Assert.False(GrantEntry.TryInstall(_guest.Vcpu, L1(1) + 4, true, entry));
        Assert.False(GrantEntry.TryInstall(_guest.Vcpu, TestGuest.EntryAddress(F(2), 1), true, entry));
        Assert.False(GrantEntry.TryInstall(_guest.Vcpu, 1UL << 30, false, entry));
        Assert.True(GrantEntry.TryInstall(_guest.Vcpu, 1UL << 12, false, entry));
        _machine.Audit();
        Assert.False(GrantEntry.TryRemove(_guest.Vcpu, L1(1), true, frame, false, 0));
        Assert.False(GrantEntry.TryRemove(_guest.Vcpu, L1(1), true, frame + 1, true, 0));
        Assert.True(GrantEntry.TryRemove(_guest.Vcpu, L1(1), true, frame, true, 0));
        TlbFlush.All(_guest.Domain);
        FrameReference.PutWritable(frame);
        Assert.Equal(1UL, TestGuest.References(frame));
        _machine.Audit();
    }
}

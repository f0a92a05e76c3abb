using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>Descriptor tables of guests.</summary>
public sealed class DescriptorTests
{
    private const ulong DataRing0 = 0x00cf_9300_0000_ffff;
    private const ulong DataRing3 = 0x00cf_f300_0000_ffff;

    private readonly TestMachine _machine = new();
    private readonly TestGuest _guest;

    public DescriptorTests()
    {
        _guest = new TestGuest(_machine, 1, 16);
        _guest.BuildTree(F(4));
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
    }

    private ulong F(int index) => _guest.Frames[index];

    [Theory]
    [InlineData(0UL, true, 0UL)]
    [InlineData(0x1234UL, true, 0x1234UL)]
    [InlineData(DataRing0, true, DataRing3)]
    [InlineData(DataRing3, true, DataRing3)]
    [InlineData(0x00af_9b00_0000_ffffUL, true, 0x00af_fb00_0000_ffffUL)]
    [InlineData(0x0000_8000_0000_0000UL, true, 0x0000_8000_0000_0000UL)]
    [InlineData(0x0000_8900_0000_0067UL, false, 0UL)]
    [InlineData(0x0000_8e00_e008_0000UL, false, 0UL)]
    [InlineData(0x0000_8200_0000_0000UL, false, 0UL)]
    [InlineData(0x0000_ec00_e033_0000UL, true, 0x0000_8c00_e033_0000UL)]
    [InlineData(0x0000_ec00_0010_0000UL, true, 0x0000_8c00_0013_0000UL)]
    [InlineData(0x0000_ec00_e008_0000UL, false, 0UL)]
    [InlineData(0x0000_ec01_e033_0000UL, false, 0UL)]
    public void DescriptorsAreMadeSafeOrRefused(ulong descriptor, bool allowed, ulong expected)
    {
        ulong changed = descriptor;
        Assert.Equal(allowed, SegmentDescriptors.TryFix(ref changed));
        if (allowed)
        {
            Assert.Equal(expected, changed);
        }

        long result = _guest.Call(UpdateDescriptorHypercall.Handle, TestGuest.EntryAddress(F(6), 3), descriptor);
        Assert.Equal(allowed ? 0 : -Errno.EINVAL, result);
        Assert.Equal(allowed ? expected : 0, TestGuest.Get(F(6), 3));
        _machine.Audit();
    }

    [Fact]
    public void AGdtHoldsItsFrames()
    {
        TestGuest.Set(F(6), 1, DataRing0);
        _guest.Store<ulong>(TestGuest.ArgumentBase, [F(6), F(7)]);
        Assert.Equal(0, _guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 600));
        Assert.Equal(DataRing3, TestGuest.Get(F(6), 1));
        Assert.Equal(600u, _guest.Vcpu.GdtEntries);
        Assert.False(FrameReference.TryGetWritable(_guest.Domain, F(6)));
        _machine.Audit();

        Assert.Equal(0, _guest.Call(UpdateDescriptorHypercall.Handle, TestGuest.EntryAddress(F(6), 2), DataRing0));
        Assert.Equal(DataRing3, TestGuest.Get(F(6), 2));
        Assert.Equal(-Errno.EINVAL, _guest.Call(UpdateDescriptorHypercall.Handle, TestGuest.EntryAddress(F(3), 2), DataRing0));
        Assert.Equal(-Errno.EINVAL, _guest.Call(UpdateDescriptorHypercall.Handle, TestGuest.EntryAddress(F(6), 2) + 4, DataRing0));

        _guest.Store<ulong>(TestGuest.ArgumentBase, [F(3)]);
        Assert.Equal(-Errno.EINVAL, _guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 10));
        Assert.Equal(600u, _guest.Vcpu.GdtEntries);
        Assert.Equal(-Errno.EINVAL, _guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 14 * 512 + 1));
        Assert.Equal(-Errno.EFAULT, _guest.Call(GuestDescriptorTable.Handle, 0x1000, 10));
        Assert.Equal(0, _guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 0));
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(6)));
        FrameReference.PutWritable(F(6));
        _machine.Audit();
    }

    [Fact]
    public void AnLdtIsMappedOnDemand()
    {
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.SetLdt, 0x10, 100));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.SetLdt, 0x1000, 8193));
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.SetLdt, AddressSpace.DirectMapBase, 100));

        // Page 1 is mapped read-only, page 2 not at all; page 0 is writable.
        Assert.Equal(0, _guest.UpdateVa(0x1000, TestGuest.Entry(F(8), TestGuest.Flags)));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.SetLdt, 0, 1300));
        Assert.False(LocalDescriptorTable.TryMap(_guest.Vcpu, 0));
        Assert.True(LocalDescriptorTable.TryMap(_guest.Vcpu, 0x1008));
        Assert.False(LocalDescriptorTable.TryMap(_guest.Vcpu, 0x1010));
        Assert.False(LocalDescriptorTable.TryMap(_guest.Vcpu, 0x2000));
        Assert.False(LocalDescriptorTable.TryMap(_guest.Vcpu, 1300 * 8));
        Assert.Equal(FrameType.SegmentDescriptors, TestGuest.TypeOf(F(8)));
        _machine.Audit();

        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.SetLdt, 0, 0));
        Assert.Equal(0UL, TestGuest.TypeCount(F(8)));
        _machine.Audit();
    }
}

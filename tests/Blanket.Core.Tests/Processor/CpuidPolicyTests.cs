using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Processor;

public class CpuidPolicyTests
{
    private readonly Vcpu _vcpu;

    public CpuidPolicyTests()
    {
        TestMachine machine = new(64);
        _vcpu = machine.CreateDomain(1, 1, 0).Vcpus[0]!;
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
    }

    private CpuidLeaf Query(uint leaf, uint subleaf = 0, bool isForced = true) => CpuidPolicy.Query(_vcpu, leaf, subleaf, isForced);

    [Fact]
    public void HypervisorIsNamedXenOfTheReportedVersion()
    {
        CpuidLeaf leaf = Query(0x40000000);
        Assert.Equal(0x40000005U, leaf.Eax);
        Assert.Equal(0x566e6558U, leaf.Ebx);
        Assert.Equal(0x65584d4dU, leaf.Ecx);
        Assert.Equal(0x4d4d566eU, leaf.Edx);
        Assert.Equal(0x00040011U, Query(0x40000001).Eax);
        Assert.Equal(1U, Query(0x40000002).Eax);
        Assert.Equal(0x40000000U, Query(0x40000002).Ebx);
        Assert.Equal(1U, Query(0x40000002).Ecx);
        Assert.Equal(default, Query(0x40000004));
        Assert.Equal(18U, Query(0x40000005).Ebx);
        Assert.Equal(default, Query(0x40000006));
        Assert.Equal(default, Query(0x40000100));
    }

    [Fact]
    public void FeaturesOfRingZeroAreHidden()
    {
        CpuidLeaf leaf1 = Query(1);
        Assert.Equal(0U, leaf1.Edx & (1U << 1 | 1U << 3 | 1U << 12 | 1U << 13 | 1U << 17 | 1U << 21));
        Assert.Equal(0U, leaf1.Ecx & (1U << 3 | 1U << 5 | 1U << 17 | 1U << 21 | 1U << 24));
        Assert.NotEqual(0U, leaf1.Ecx & 1U << 31);
        Assert.Equal(0U, leaf1.Ebx >> 24);
        CpuidLeaf leaf7 = Query(7);
        Assert.Equal(0U, leaf7.Ebx & (1U | 1U << 1 | 1U << 7 | 1U << 10 | 1U << 14 | 1U << 20));
        Assert.NotEqual(0U, leaf7.Ebx & 1U << 9);
        Assert.Equal(0U, leaf7.Ecx & 1U << 3);
        Assert.Equal(0U, leaf7.Edx & (1U << 26 | 1U << 27 | 1U << 31));
        Assert.Equal(0U, Query(0x80000001).Edx & 1U << 26);
        Assert.Equal(0U, Query(0x80000007).Edx);
        Assert.Equal(default, Query(5));
        Assert.Equal(default, Query(0xa));
        Assert.Equal(default, Query(0xb));
        Assert.Equal(default, Query(0x16));
    }

    [Fact]
    public void SysenterIsOfferedWhereLongModeHasIt()
    {
        Assert.NotEqual(0U, Query(1).Edx & 1U << 11);
        CpuidPolicy.Use(new CpuidPolicy(SimulatedCpu.Amd()));
        Assert.Equal(0U, Query(1).Edx & 1U << 11);
    }

    [Fact]
    public void BarriersAreOfferedByTheirOwnName()
    {
        Assert.NotEqual(0U, Query(0x80000008).Ebx & 1U << 12);
        Assert.Equal(0x302eU, Query(0x80000008).Eax);
    }

    [Fact]
    public void ArchCapabilitiesAreFiltered()
    {
        // EIBRS goes with SPEC_CTRL; not being affected stays.
        Assert.Equal(0x21UL, CpuidPolicy.Current.ArchCapabilities);
    }

    [Fact]
    public void OsxsaveFollowsTheGuestExceptInForcedLeavesOfItsKernel()
    {
        const uint Osxsave = 1U << 27;
        Assert.NotEqual(0U, Query(1, isForced: true).Ecx & Osxsave);
        Assert.Equal(0U, Query(1, isForced: false).Ecx & Osxsave);
        _vcpu.State.InKernel = 0;
        Assert.Equal(0U, Query(1, isForced: true).Ecx & Osxsave);
        _vcpu.GuestCr4 = ControlRegisters.OsXsave;
        Assert.NotEqual(0U, Query(1, isForced: false).Ecx & Osxsave);
    }

    [Fact]
    public void XsaveAreaIsSizedByWhatTheGuestHasEnabled()
    {
        Assert.Equal(0xe7U, Query(0xd).Eax);
        Assert.Equal(0xa80U, Query(0xd).Ecx);
        Assert.Equal(576U, Query(0xd).Ebx);
        Assert.Equal(7U, Query(0xd, 1).Eax);
        Assert.True(GuestXcr0.TrySet(_vcpu, 7));
        Assert.Equal(832U, Query(0xd).Ebx);
        Assert.True(GuestXcr0.TrySet(_vcpu, 0xe7));
        Assert.Equal(0xa80U, Query(0xd).Ebx);
        Assert.Equal(576U + 0x100 + 0x40 + 0x200 + 0x400, Query(0xd, 1).Ebx);
        Assert.Equal(0x240U, Query(0xd, 2).Ebx);
        Assert.Equal(default, Query(0xd, 3));
        Assert.Equal(default, Query(0xd, 9));
        Assert.Equal(default, Query(0xd, 63));
    }

    [Theory]
    [InlineData(0UL, false)]
    [InlineData(1UL, true)]
    [InlineData(2UL, false)]
    [InlineData(3UL, true)]
    [InlineData(5UL, false)]
    [InlineData(7UL, true)]
    [InlineData(0x27UL, false)]
    [InlineData(0xe3UL, false)]
    [InlineData(0xe7UL, true)]
    [InlineData(0x2e7UL, false)]
    [InlineData(0x1fUL, false)]
    public void Xcr0IsChecked(ulong value, bool isValid)
    {
        ulong before = _vcpu.GuestXcr0;
        Assert.Equal(isValid, GuestXcr0.TrySet(_vcpu, value));
        Assert.Equal(isValid ? value : before, _vcpu.GuestXcr0);
    }

    [Fact]
    public void WithoutXsaveNothingThatNeedsItIsLeft()
    {
        SimulatedCpu cpu = new();
        cpu.SetVendor("GenuineIntel", 7, 0x80000008);
        CpuidPolicy.Use(new CpuidPolicy(cpu));
        Assert.Equal(0U, Query(1).Ecx & (1U << 26 | 1U << 27 | 1U << 28 | 1U << 12 | 1U << 29));
        Assert.Equal(0U, Query(7).Ebx & (1U << 5 | 1U << 16 | 1U << 31));
        Assert.Equal(default, Query(0xd));
        Assert.False(GuestXcr0.TrySet(_vcpu, 3));
        Assert.Equal(default, Query(8));
    }

    [Fact]
    public void CachesEndWithTheFirstThatIsNone()
    {
        Assert.Equal(0x3c07c163U, Query(4, 3).Eax);
        Assert.Equal(default, Query(4, 4));
        Assert.Equal(default, Query(4, 100));
    }

    [Fact]
    public void AmdLeavesAreAmds()
    {
        CpuidPolicy.Use(new CpuidPolicy(SimulatedCpu.Amd()));
        CpuidLeaf leaf0 = Query(0);
        CpuidLeaf extended = Query(0x80000000);
        Assert.Equal(0x80000020U, extended.Eax);
        Assert.Equal((leaf0.Ebx, leaf0.Ecx, leaf0.Edx), (extended.Ebx, extended.Ecx, extended.Edx));

        // The bits that leaf 1 and this one have in common, and only those that guests have.
        Assert.Equal(Query(1).Edx & 0x0183f3ffU, Query(0x80000001).Edx & 0x0183f3ffU);
        Assert.Equal(0U, Query(0x80000001).Ecx & (1U << 2 | 1U << 22 | 1U << 26));
        Assert.Equal(default, Query(4));
        Assert.Equal(default, Query(0x8000000a));
        Assert.Equal(default, Query(0x80000019));
        Assert.Equal(6U, Query(0x8000001a).Eax);
        Assert.Equal(default, Query(0x8000001e));
        Assert.Equal(0x17U, new CpuidPolicy(AmdFamily17()).Family);
    }

    private static SimulatedCpu AmdFamily17()
    {
        SimulatedCpu cpu = SimulatedCpu.Amd();
        cpu.Set(1, 0, 0x00830f10, 0, 0, 0);
        return cpu;
    }
}

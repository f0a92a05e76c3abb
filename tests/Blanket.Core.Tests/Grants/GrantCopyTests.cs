using System.Linq;
using Blanket.Abi.Xen;
using Blanket.Core.Grants;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Grants;

/// <summary>GNTTABOP_copy.</summary>
public sealed class GrantCopyTests
{
    private const ushort FromGrant = GrantCopyArgument.SourceIsGrant;
    private const ushort ToGrant = GrantCopyArgument.DestinationIsGrant;

    private readonly TestMachine _machine = new();
    private readonly GrantGuest _one;
    private readonly GrantGuest _two;
    private readonly GrantGuest _three;

    public GrantCopyTests()
    {
        _one = new GrantGuest(_machine, 1);
        _two = new GrantGuest(_machine, 2);
        _three = new GrantGuest(_machine, 3);
        _one.Grant(20, 2, _one.Data(0));
        PhysicalMemory.Frame(_one.Data(0)).Fill(0x11);
        PhysicalMemory.Frame(_two.Data(0)).Fill(0x22);
    }

    private void AssertNothingHeld()
    {
        foreach (GrantGuest guest in new[] { _one, _two, _three })
        {
            Assert.Equal(0, guest.Table.EntriesInUse);
        }

        _machine.Audit();
    }

    [Fact]
    public void CopiesGoBothWays()
    {
        Assert.Equal(GrantTableStatus.Okay, _two.Copy(GrantGuest.OfGrant(1, 20, 100), GrantGuest.OwnFrame(_two.Data(0), 200), 50, FromGrant));
        Assert.Equal(0x22, PhysicalMemory.Frame(_two.Data(0))[199]);
        Assert.Equal(0x11, PhysicalMemory.Frame(_two.Data(0))[200]);
        Assert.Equal(0x11, PhysicalMemory.Frame(_two.Data(0))[249]);
        Assert.Equal(0x22, PhysicalMemory.Frame(_two.Data(0))[250]);
        Assert.Equal(GrantTableStatus.Okay, _two.Copy(GrantGuest.OwnFrame(_two.Data(0)), GrantGuest.OfGrant(1, 20, 4092), 4, ToGrant));
        Assert.Equal(0x22, PhysicalMemory.Frame(_one.Data(0))[4095]);
        AssertNothingHeld();
    }

    [Fact]
    public void GrantToGrantAndOwnToOwnCopies()
    {
        _three.Grant(9, 2, _three.Data(0));
        Assert.Equal(
            GrantTableStatus.Okay, _two.Copy(GrantGuest.OfGrant(1, 20), GrantGuest.OfGrant(3, 9), 4096, FromGrant | ToGrant));
        Assert.Equal(0x11, PhysicalMemory.Frame(_three.Data(0))[4095]);
        Assert.Equal(GrantTableStatus.Okay, _two.Copy(GrantGuest.OwnFrame(_two.Data(0)), GrantGuest.OwnFrame(_two.Data(1)), 4096, 0));
        Assert.Equal(0x22, PhysicalMemory.Frame(_two.Data(1))[4095]);
        Assert.Equal(GrantTableStatus.Okay, _two.Copy(GrantGuest.OwnFrame(_two.Data(0)), GrantGuest.OwnFrame(_two.Data(0), 8), 100, 0));
        AssertNothingHeld();
    }

    [Fact]
    public void ErrorsAreToldAndChangeNothing()
    {
        GrantCopyPointer own = GrantGuest.OwnFrame(_two.Data(0));
        GrantCopyPointer grant = GrantGuest.OfGrant(1, 20);
        Assert.Equal(GrantTableStatus.PermissionDenied, _two.Copy(grant, own, 16, 0));
        Assert.Equal(GrantTableStatus.PermissionDenied, _two.Copy(own, grant, 16, 0));
        Assert.Equal(GrantTableStatus.BadDomain, _two.Copy(GrantGuest.OfGrant(77, 20), own, 16, FromGrant));
        Assert.Equal(GrantTableStatus.BadDomain, _two.Copy(GrantGuest.OfGrant(DomainId.Services, 1), own, 16, FromGrant));
        Assert.Equal(GrantTableStatus.BadReference, _two.Copy(GrantGuest.OfGrant(1, 4000), own, 16, FromGrant));
        Assert.Equal(GrantTableStatus.GeneralError, _two.Copy(GrantGuest.OfGrant(1, 21), own, 16, FromGrant));
        Assert.Equal(GrantTableStatus.GeneralError, _three.Copy(grant, GrantGuest.OwnFrame(_three.Data(0)), 16, FromGrant));
        Assert.Equal(GrantTableStatus.BadPage, _two.Copy(grant, GrantGuest.OwnFrame(_one.Data(1)), 16, FromGrant));
        Assert.Equal(GrantTableStatus.BadPage, _two.Copy(GrantGuest.OwnFrame(ulong.MaxValue), own, 16, 0));
        Assert.Equal(GrantTableStatus.GeneralError, _two.Copy(grant, GrantGuest.OwnFrame(_two.L1Table), 16, FromGrant));
        Assert.Equal(GrantTableStatus.BadCopyArgument, _two.Copy(GrantGuest.OfGrant(1, 20, 4000), own, 97, FromGrant));
        Assert.Equal(GrantTableStatus.BadCopyArgument, _two.Copy(grant, GrantGuest.OwnFrame(_two.Data(0), 65_535), 1, FromGrant));
        Assert.Equal(GrantTableStatus.BadCopyArgument, _two.Copy(grant, own, 65_535, FromGrant));
        _one.Grant(21, 2, _one.Data(1), GrantTableFlags.ReadOnly);
        Assert.Equal(GrantTableStatus.GeneralError, _two.Copy(own, GrantGuest.OfGrant(1, 21), 16, ToGrant));
        Assert.Equal(GrantTableStatus.Okay, _two.Copy(GrantGuest.OwnFrame(_two.L1Table), own, 16, 0));
        Assert.Equal(0, PhysicalMemory.Frame(_one.Data(1))[0]);
        AssertNothingHeld();
    }

    [Fact]
    public void PartsOfPagesLimitTheCopy()
    {
        Assert.Equal(0, _one.SetVersion(2));
        _one.GrantPart(20, 2, _one.Data(0), 256, 128);
        GrantCopyPointer own = GrantGuest.OwnFrame(_two.Data(0));
        Assert.Equal(GrantTableStatus.Okay, _two.Copy(GrantGuest.OfGrant(1, 20, 256), own, 128, FromGrant));
        Assert.Equal(GrantTableStatus.GeneralError, _two.Copy(GrantGuest.OfGrant(1, 20, 255), own, 1, FromGrant));
        Assert.Equal(GrantTableStatus.GeneralError, _two.Copy(GrantGuest.OfGrant(1, 20, 300), own, 128, FromGrant));
        Assert.Equal(GrantTableStatus.GeneralError, _two.Copy(own, GrantGuest.OfGrant(1, 20, 384), 1, ToGrant));
        AssertNothingHeld();
    }

    [Fact]
    public void ATransitiveGrantPassesAnotherOn()
    {
        Assert.Equal(0, _two.SetVersion(2));
        _two.GrantTransitively(40, 3, owner: 1, ownerReference: 20);
        GrantCopyPointer own = GrantGuest.OwnFrame(_three.Data(0));
        Assert.Equal(GrantTableStatus.Okay, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        Assert.Equal(0x11, PhysicalMemory.Frame(_three.Data(0))[63]);
        PhysicalMemory.Frame(_three.Data(0)).Fill(0x33);
        Assert.Equal(GrantTableStatus.Okay, _three.Copy(own, GrantGuest.OfGrant(2, 40, 8), 64, ToGrant));
        Assert.Equal(0x33, PhysicalMemory.Frame(_one.Data(0))[8]);
        Assert.Equal(0, _one.Status(20));
        Assert.Equal(0, _two.Status(40));
        AssertNothingHeld();
    }

    [Fact]
    public void TransitiveGrantsHaveTheirLimits()
    {
        Assert.Equal(0, _two.SetVersion(2));
        Assert.Equal(0, _one.SetVersion(2));
        GrantCopyPointer own = GrantGuest.OwnFrame(_three.Data(0));
        _two.GrantTransitively(40, 3, owner: 2, ownerReference: 41);
        Assert.Equal(GrantTableStatus.GeneralError, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        _two.GrantTransitively(40, 3, owner: 77, ownerReference: 41);
        Assert.Equal(GrantTableStatus.GeneralError, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        _two.GrantTransitively(40, 3, owner: 1, ownerReference: 40_000);
        Assert.Equal(GrantTableStatus.BadReference, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        _two.GrantTransitively(40, 3, owner: 1, ownerReference: 30);
        _one.GrantTransitively(30, 2, owner: 3, ownerReference: 1);
        Assert.Equal(GrantTableStatus.GeneralError, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        _one.Grant(30, 2, _one.Data(0), GrantTableFlags.ReadOnly);
        Assert.Equal(GrantTableStatus.GeneralError, _three.Copy(own, GrantGuest.OfGrant(2, 40), 64, ToGrant));
        Assert.Equal(GrantTableStatus.Okay, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        _one.GrantPart(30, 2, _one.Data(0), 16, 16);
        Assert.Equal(GrantTableStatus.GeneralError, _three.Copy(GrantGuest.OfGrant(2, 40), own, 64, FromGrant));
        Assert.Equal(GrantTableStatus.Okay, _three.Copy(GrantGuest.OfGrant(2, 40, 16), own, 16, FromGrant));
        Assert.Equal(0, _two.Status(40));
        AssertNothingHeld();
    }

    [Fact]
    public void AServiceCopiesThroughATransitiveGrant()
    {
        Assert.Equal(0, _two.SetVersion(2));
        _two.GrantTransitively(40, DomainId.Services, owner: 1, ownerReference: 20);
        byte[] bytes = new byte[16];
        Assert.Equal(0, GrantCopy.TryCopyFromGrant(_two.Domain, 40, 4080, bytes));
        Assert.All(bytes, b => Assert.Equal(0x11, b));
        AssertNothingHeld();
    }

    [Fact]
    public void BatchesArePreemptedAndEachHasItsStatus()
    {
        _two.Guest.Preempted = () => true;
        GrantCopyArgument[] copies = Enumerable.Range(0, 60).Select(i => new GrantCopyArgument
        {
            Source = GrantGuest.OfGrant(1, i % 3 == 0 ? 21u : 20u, (ushort)i),
            Destination = GrantGuest.OwnFrame(_two.Data(0), (ushort)i),
            Length = 1,
            Flags = FromGrant,
            Status = 77,
        }).ToArray();
        Assert.Equal(0, _two.Call(GrantTableOp.Copy, copies));
        for (int i = 0; i < copies.Length; i++)
        {
            Assert.Equal(i % 3 == 0 ? GrantTableStatus.GeneralError : GrantTableStatus.Okay, copies[i].Status);
            Assert.Equal(i % 3 == 0 ? 0x22 : 0x11, PhysicalMemory.Frame(_two.Data(0))[i]);
        }

        AssertNothingHeld();
    }
}

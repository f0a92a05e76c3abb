using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>GNTTABOP_setup_table, query_size, get_status_frames, set_version and get_version.</summary>
internal static class GrantTableSetup
{
    public static long SetUp(Domain caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out GrantSetupArgument argument)
            || !AddressSpace.IsGuestRange(argument.FrameList, argument.FrameCount * (ulong)sizeof(ulong)))
        {
            return -Errno.EFAULT;
        }

        short status = FindTable(caller, argument.Domain, out GrantTable? table);
        if (table != null)
        {
            bool fits = argument.FrameCount <= (uint)table.MaximumFrames && table.TryGrow((int)argument.FrameCount);
            status = fits ? WriteFrames(table, argument.FrameList, argument.FrameCount, ofStatus: false) : GrantTableStatus.GeneralError;
        }

        return GuestMemory.TryWrite(address + GrantSetupArgument.StatusOffset, in status) ? 0 : -Errno.EFAULT;
    }

    public static long GetStatusFrames(Domain caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out GrantStatusFramesArgument argument)
            || !AddressSpace.IsGuestRange(argument.FrameList, argument.FrameCount * (ulong)sizeof(ulong)))
        {
            return -Errno.EFAULT;
        }

        short status = FindTable(caller, argument.Domain, out GrantTable? table);
        if (table != null)
        {
            status = argument.FrameCount <= (uint)table.StatusFrameCount
                ? WriteFrames(table, argument.FrameList, argument.FrameCount, ofStatus: true)
                : GrantTableStatus.GeneralError;
        }

        return GuestMemory.TryWrite(address + GrantStatusFramesArgument.StatusOffset, in status) ? 0 : -Errno.EFAULT;
    }

    public static long QuerySize(Domain caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out GrantQuerySizeArgument argument))
        {
            return -Errno.EFAULT;
        }

        argument.Status = FindTable(caller, argument.Domain, out GrantTable? table);
        if (table != null)
        {
            argument.Frames = (uint)table.FrameCount;
            argument.MaximumFrames = (uint)table.MaximumFrames;
        }

        return GuestMemory.TryWrite(address, in argument) ? 0 : -Errno.EFAULT;
    }

    public static long SetVersion(Domain caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out uint version))
        {
            return -Errno.EFAULT;
        }

        int result = caller.Grants!.SetVersion(version);
        version = (uint)caller.Grants.Version;
        return GuestMemory.TryWrite(address, in version) ? result : -Errno.EFAULT;
    }

    public static long GetVersion(Domain caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out GrantVersionArgument argument))
        {
            return -Errno.EFAULT;
        }

        int error = DomainAccess.FindTarget(caller, argument.Domain, out Domain? domain);
        if (error != 0 || domain?.Grants == null)
        {
            return error != 0 ? error : -Errno.ESRCH;
        }

        uint version = (uint)domain.Grants.Version;
        return GuestMemory.TryWrite(address + GrantVersionArgument.VersionOffset, in version) ? 0 : -Errno.EFAULT;
    }

    private static short FindTable(Domain caller, ushort id, out GrantTable? table)
    {
        table = null;
        Domain? domain = DomainAccess.Find(caller, id);
        if (domain?.Grants == null)
        {
            return GrantTableStatus.BadDomain;
        }

        if (!DomainAccess.MayActFor(caller, domain))
        {
            return GrantTableStatus.PermissionDenied;
        }

        table = domain.Grants;
        return GrantTableStatus.Okay;
    }

    private static short WriteFrames(GrantTable table, ulong list, uint count, bool ofStatus)
    {
        short status = GrantTableStatus.Okay;
        for (uint i = 0; i < count; i++)
        {
            ulong frame = ofStatus ? table.StatusFrame((int)i) : table.SharedFrame((int)i);
            if (!GuestMemory.TryWriteElement(list, i, in frame))
            {
                status = GrantTableStatus.BadVirtualAddress;
            }
        }

        return status;
    }
}

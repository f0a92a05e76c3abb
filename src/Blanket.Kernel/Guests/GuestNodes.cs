using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Kernel.Services;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Kernel.Guests;

/// <summary>A domain's own nodes in xenstore, as Xen's toolstack makes them (xenstore-paths; libxl's domain creation).</summary>
internal ref struct GuestNodes
{
    private const int PathSize = 128;
    private readonly StoreClient _client;
    private readonly ushort _domid;
    private XenStoreError _error;

    private GuestNodes(ushort domid)
    {
        _client = StoreService.Client;
        _domid = domid;
        _error = XenStoreError.None;
    }

    /// <summary>Makes the nodes of a domain that the store knows; the store's lock is held.</summary>
    internal static XenStoreError Create(Domain domain, in BootBundleGuest record, ulong storeFrame, uint storePort)
    {
        GuestNodes nodes = new(domain.Id);
        nodes.CreateHome();
        nodes.WriteReadOnly("name"u8, domain.Name);
        nodes.WriteVmPath(domain);
        nodes.WriteReadOnlyNumber("domid"u8, domain.Id);
        nodes.WriteReadOnlyNumber("store/ring-ref"u8, storeFrame);
        nodes.WriteReadOnlyNumber("store/port"u8, storePort);
        nodes.WriteReadOnlyNumber("memory/static-max"u8, record.MaximumMemoryKiB);
        nodes.WriteReadOnlyNumber("memory/target"u8, record.MemoryKiB);
        nodes.WriteReadOnlyNumber("memory/videoram"u8, 0);
        nodes.CreateCpus(domain, in record);
        nodes.CreateOwned("control"u8, writable: false);
        nodes.CreateOwned("control/shutdown"u8, writable: true);
        nodes.CreateOwned("control/feature-poweroff"u8, writable: true);
        nodes.CreateOwned("control/feature-reboot"u8, writable: true);
        nodes.CreateOwned("control/feature-suspend"u8, writable: true);
        nodes.CreateOwned("control/sysrq"u8, writable: true);
        nodes.CreateOwned("data"u8, writable: true);
        nodes.CreateOwned("drivers"u8, writable: true);
        nodes.CreateOwned("feature"u8, writable: true);
        nodes.CreateOwned("attr"u8, writable: true);
        nodes.CreateOwned("error"u8, writable: true);
        nodes.CreateOwned("device"u8, writable: false);
        nodes.CreateOwned("device/suspend/event-channel"u8, writable: true);
        return nodes._error;
    }

    /// <summary>Makes the directories that stay when no domain is left; the store's lock is held.</summary>
    internal static void CreateDirectories()
    {
        PathBuilder path = new(stackalloc byte[PathSize]);
        path.Append("/vm"u8);
        Check.That(StoreService.Client.MakeDirectory(path.Text) == XenStoreError.None);
        AppendBackends(ref path, "console"u8);
        Check.That(StoreService.Client.MakeDirectory(path.Text) == XenStoreError.None);
        AppendBackends(ref path, "vbd"u8);
        Check.That(StoreService.Client.MakeDirectory(path.Text) == XenStoreError.None);
        AppendBackends(ref path, "vif"u8);
        Check.That(StoreService.Client.MakeDirectory(path.Text) == XenStoreError.None);
    }

    /// <summary>Removes a domain's home, what describes its configuration, and the directories that its backends were in; the store's lock is held.</summary>
    internal static void Remove(Domain domain)
    {
        PathBuilder path = new(stackalloc byte[PathSize]);
        path.AppendHome(domain.Id);
        StoreService.Client.Remove(path.Text);
        path.Truncate(0);
        AppendVmPath(ref path, domain);
        StoreService.Client.Remove(path.Text);
        RemoveBackends(ref path, "console"u8, domain);
        RemoveBackends(ref path, "vbd"u8, domain);
        RemoveBackends(ref path, "vif"u8, domain);
    }

    private static void RemoveBackends(ref PathBuilder path, scoped ReadOnlySpan<byte> kind, Domain domain)
    {
        AppendBackends(ref path, kind);
        path.AppendName(domain.Id);
        StoreService.Client.Remove(path.Text);
    }

    private static void AppendBackends(ref PathBuilder path, scoped ReadOnlySpan<byte> kind)
    {
        path.Truncate(0);
        path.AppendHome(DomainId.Services);
        path.AppendName("backend"u8);
        path.AppendName(kind);
    }

    private static void AppendVmPath(ref PathBuilder path, Domain domain)
    {
        path.Append("/vm/"u8);
        ReadOnlySpan<byte> uuid = domain.Uuid;
        for (int i = 0; i < uuid.Length; i++)
        {
            if (i is 4 or 6 or 8 or 10)
            {
                path.Append((byte)'-');
            }

            path.AppendHex(uuid[i], 2);
        }
    }

    private void CreateCpus(Domain domain, in BootBundleGuest record)
    {
        Span<byte> buffer = stackalloc byte[PathSize];
        for (int i = 0; i < domain.Vcpus.Length; i++)
        {
            PathBuilder name = new(buffer);
            name.Append("cpu"u8);
            name.AppendName((ulong)(uint)i);
            name.Append("/availability"u8);
            WriteReadOnly(name.Text, i < record.Vcpus ? "online"u8 : "offline"u8);
        }
    }

    private void WriteVmPath(Domain domain)
    {
        Span<byte> buffer = stackalloc byte[PathSize];
        PathBuilder path = new(buffer);
        AppendVmPath(ref path, domain);
        WriteReadOnly("vm"u8, path.Text);
        int vmLength = path.Length;
        path.Append("/name"u8);
        Keep(_client.Write(path.Text, domain.Name));
        path.Truncate(vmLength);
        path.Append("/uuid"u8);
        Keep(_client.Write(path.Text, path.Text.Slice(4, vmLength - 4)));
    }

    private void CreateHome()
    {
        Span<byte> buffer = stackalloc byte[PathSize];
        PathBuilder path = new(buffer);
        path.AppendHome(_domid);
        Keep(_client.MakeDirectory(path.Text));
        SetOwner(path.Text, writable: false);
    }

    private void WriteReadOnly(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[PathSize];
        PathBuilder path = new(buffer);
        path.AppendHome(_domid);
        path.AppendName(name);
        Keep(_client.Write(path.Text, value));
        SetOwner(path.Text, writable: false);
    }

    private void WriteReadOnlyNumber(scoped ReadOnlySpan<byte> name, ulong value)
    {
        Span<byte> digits = stackalloc byte[PathBuilder.DecimalMax];
        PathBuilder number = new(digits);
        number.AppendDecimal(value);
        WriteReadOnly(name, number.Text);
    }

    private void CreateOwned(scoped ReadOnlySpan<byte> name, bool writable)
    {
        Span<byte> buffer = stackalloc byte[PathSize];
        PathBuilder path = new(buffer);
        path.AppendHome(_domid);
        path.AppendName(name);
        Keep(_client.Write(path.Text, default));
        SetOwner(path.Text, writable);
    }

    /// <summary>The guest owns what it may write; of the rest the services are the owner and it may read.</summary>
    private void SetOwner(scoped ReadOnlySpan<byte> path, bool writable)
    {
        Span<StorePermission> permissions = stackalloc StorePermission[2];
        if (writable)
        {
            permissions[0] = new StorePermission(_domid, StoreAccess.None);
            Keep(_client.SetPermissions(path, permissions.Slice(0, 1)));
        }
        else
        {
            permissions[0] = new StorePermission(DomainId.Services, StoreAccess.None);
            permissions[1] = new StorePermission(_domid, StoreAccess.Read);
            Keep(_client.SetPermissions(path, permissions));
        }
    }

    private void Keep(XenStoreError error)
    {
        if (_error == XenStoreError.None)
        {
            _error = error;
        }
    }
}

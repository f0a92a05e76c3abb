using System;
using Blanket.Abi;
using Blanket.Backends;
using Blanket.Core.Bundles;
using Blanket.Core.Domains;
using Blanket.Drivers;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>The bridges of the boot bundle: a switch each, with one of L0's interfaces where the configuration names one.</summary>
internal static class Bridges
{
    private static NetworkSwitch?[] s_switches = null!;
    private static BootBundleShortName[] s_names = null!;

    /// <summary>Makes the switches and connects L0's interfaces; once at boot, in an allocation scope.</summary>
    internal static void CreateAll(in BundleReader bundle)
    {
        s_switches = new NetworkSwitch?[bundle.BridgeCount];
        s_names = new BootBundleShortName[bundle.BridgeCount];
        for (int i = 0; i < s_switches.Length; i++)
        {
            s_switches[i] = NetworkSwitch.Create(BackendService.Host, SecretKey.Create());
            BootBundleBridge bridge = bundle.Bridge(i);
            if (s_switches[i] == null)
            {
                Panic.Stop("not enough memory for a bridge"u8);
            }

            s_names[i] = bridge.Name;
            CreateUplink(s_switches[i]!, in bridge);
        }
    }

    /// <summary>Connects a guest's interface to the bridge of a name, in the arena of its domain.</summary>
    /// <returns>0 or a negative errno: -ENODEV when there is no such bridge.</returns>
    internal static int CreateVif(BackendOwner owner, Domain domain, BootBundleShortName bridge, in BootBundleVif vif, out BackendDevice? device)
    {
        device = null;
        NetworkSwitch? network = Find(bridge);
        if (network == null)
        {
            return -Abi.Xen.Errno.ENODEV;
        }

        VifSettings settings = new()
        {
            DeviceId = vif.DeviceId,
            Mtu = vif.Mtu,
            RateBytes = vif.RateBytes,
            RateIntervalMicroseconds = vif.RateIntervalMicroseconds,
            Filter = vif.AddressCount == 0 ? null : new AddressFilter(in vif),
        };
        ((ReadOnlySpan<byte>)vif.Mac).CopyTo(settings.Address);
        int error = VifDevice.Create(BackendService.Bus, owner, domain, network, in settings, out VifDevice? created);
        device = created;
        return error;
    }

    private static NetworkSwitch? Find(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < s_names.Length; i++)
        {
            if (((ReadOnlySpan<byte>)s_names[i]).SequenceEqual(name))
            {
                return s_switches[i];
            }
        }

        return null;
    }

    private static void CreateUplink(NetworkSwitch bridge, in BootBundleBridge record)
    {
        if (record.Nic == BootBundle.None)
        {
            return;
        }

        if (record.Nic >= (uint)DeviceRegistry.Found.NetworkCount)
        {
            Log.Line("bridge: L0 has no network interface number "u8).Decimal(record.Nic).End();
            return;
        }

        NetworkDevice device = DeviceRegistry.Found.Network((int)record.Nic);
        int error = bridge.CreateUplink(device);
        if (error != 0)
        {
            Log.Line("bridge: network interface "u8).Decimal(record.Nic).Text(" cannot be connected, error "u8).Signed(error).End();
        }
    }
}

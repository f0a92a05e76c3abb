using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net;

namespace Blanket.Lab.Configuration;

/// <summary>One network interface of a guest.</summary>
/// <param name="Source">Where it was configured.</param>
/// <param name="DeviceId">Its number in xenstore.</param>
/// <param name="Mac">Its address, unicast.</param>
/// <param name="Bridge">Name of the bridge that it is on.</param>
/// <param name="Mtu">Largest IP packet in bytes, or null for that of the bridge.</param>
/// <param name="Rate">Limit on what the guest sends, or null.</param>
/// <param name="Addresses">IP addresses that the guest may use; empty means any.</param>
public sealed record VifSpecification(
    SourceLine Source, uint DeviceId, MacAddress Mac, string Bridge, ushort? Mtu, VifRate? Rate, IReadOnlyList<IPNetwork> Addresses);

/// <summary>Reads one vif in the syntax of xl-network-configuration(5).</summary>
internal sealed class VifSpecificationParser
{
    internal const string DefaultBridge = "xenbr0";
    private const int MinimumMtu = 68;
    private const int MaximumMtu = 65521;
    private const int MaximumAddresses = Abi.BootBundleAddresses.Size;
    private const int MaximumBridgeLength = Abi.BootBundleShortName.Size - 1;

    private readonly XlString _text;
    private readonly XlSettings _settings;
    private uint _deviceId;
    private MacAddress? _mac;
    private string _bridge = DefaultBridge;
    private ushort? _mtu;
    private VifRate? _rate;
    private List<IPNetwork> _addresses = [];

    private VifSpecificationParser(XlString text, XlSettings settings, uint deviceId)
    {
        _text = text;
        _settings = settings;
        _deviceId = deviceId;
    }

    /// <summary>Reads a vif; one without mac= gets an address derived from the guest's name.</summary>
    internal static VifSpecification Parse(XlString text, XlSettings settings, uint deviceId, string guestName)
    {
        VifSpecificationParser parser = new(text, settings, deviceId);
        foreach (string parameter in text.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            parser.ReadParameter(parameter);
        }

        MacAddress mac = parser._mac ?? MacAddress.FromSeed($"{guestName}/{parser._deviceId}");
        return new VifSpecification(text.Source, parser._deviceId, mac, parser._bridge, parser._mtu, parser._rate, parser._addresses);
    }

    private InputException Error(string message) => new(_text.Source, $"vif '{_text.Text}': {message}");

    private void ReadParameter(string parameter)
    {
        int equals = parameter.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? parameter : parameter[..equals];
        string value = equals < 0 ? string.Empty : parameter[(equals + 1)..];
        switch (name)
        {
            case "mac":
                _mac = ReadMac(value);
                break;
            case "bridge":
                _bridge = ReadBridge(value);
                break;
            case "rate":
                _rate = VifRate.TryParse(value) ?? throw Error($"rate={value} is no rate, expected for instance 10Mb/s or 1MB/s@20ms");
                break;
            case "ip":
                _addresses = ReadAddresses(value);
                break;
            case "mtu":
                _mtu = (ushort)ReadNumber(name, value, MinimumMtu, MaximumMtu);
                break;
            case "devid":
                _deviceId = (uint)ReadNumber(name, value, 0, 255);
                break;
            case "trusted":
                break;
            case "type" or "model" or "vifname" or "script" or "gatewaydev" or "netdev" or "untrusted":
                _settings.Warn(_text.Source, $"vif parameter '{name}' has no effect on Blanket");
                break;
            case "backend" when value is "0" or "Domain-0":
                break;
            case "backend":
                throw Error($"backend={value}: there are no driver domains, expected no backend");
            default:
                throw Error($"unknown parameter '{name}', expected mac, bridge, rate, ip, mtu or devid (xl-network-configuration(5))");
        }
    }

    private MacAddress ReadMac(string value)
    {
        MacAddress mac = MacAddress.TryParse(value) ?? throw Error($"mac={value} is no MAC address, expected for instance 00:16:3e:12:34:56");
        return mac.IsUnicast ? mac : throw Error($"mac={value} is a group or zero address, expected one whose first byte is even");
    }

    private string ReadBridge(string value) =>
        GuestName.IsValid(value, MaximumBridgeLength)
            ? value
            : throw Error($"bridge={value} is no bridge name, expected 1 to {MaximumBridgeLength} letters, digits or any of - _ . +");

    private long ReadNumber(string name, string value, long minimum, long maximum) =>
        XlSettings.TryParseNumber(value, out long number) && number >= minimum && number <= maximum
            ? number
            : throw Error($"{name}={value}, expected a number from {minimum} to {maximum}");

    private List<IPNetwork> ReadAddresses(string value)
    {
        List<IPNetwork> addresses = [];
        foreach (string text in value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            addresses.Add(ParseAddress(text) ?? throw Error($"'{text}' is no IP address, expected for instance 10.0.0.2 or 2001:db8::2"));
        }

        return addresses.Count is > 0 and <= MaximumAddresses
            ? addresses
            : throw Error($"ip={value} has {addresses.Count} addresses, expected 1 to {MaximumAddresses} separated by spaces");
    }

    private static IPNetwork? ParseAddress(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (!IPAddress.TryParse(slash < 0 ? text : text[..slash], out IPAddress? address))
        {
            return null;
        }

        int bits = address.GetAddressBytes().Length * 8;
        if (slash < 0)
        {
            return new IPNetwork(address, bits);
        }

        // A host address with the length of its network, as in ip(8): the address counts, and nothing else of the network.
        return int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int length) && length <= bits
            ? IsNetworkAddress(address, length) ? new IPNetwork(address, length) : new IPNetwork(address, bits)
            : null;
    }

    private static bool IsNetworkAddress(IPAddress address, int length)
    {
        byte[] bytes = address.GetAddressBytes();
        for (int bit = length; bit < bytes.Length * 8; bit++)
        {
            if ((bytes[bit / 8] & (0x80 >> (bit % 8))) != 0)
            {
                return false;
            }
        }

        return true;
    }
}

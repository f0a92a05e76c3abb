namespace Blanket.Store;

/// <summary>All connections by slot, and the queue of those that have work, served in turn.</summary>
internal sealed class ConnectionTable
{
    private readonly StoreConnection?[] _slots;
    private readonly StoreHost _host;
    private StoreConnection? _firstReady;
    private StoreConnection? _lastReady;

    /// <summary>No connections.</summary>
    internal ConnectionTable(int maximumConnections, StoreHost host)
    {
        _slots = new StoreConnection?[maximumConnections];
        _host = host;
    }

    /// <summary>Connections that are open.</summary>
    internal int Count { get; private set; }

    /// <summary>Number of slots.</summary>
    internal int Slots => _slots.Length;

    /// <summary>Whether a connection waits to be served.</summary>
    internal bool HasReady => _firstReady != null;

    /// <summary>The connection in a slot; null when the slot is free.</summary>
    internal StoreConnection? this[int slot] => _slots[slot];

    /// <summary>Gives a connection a slot; false when all are taken.</summary>
    internal bool TryOpen(StoreConnection connection, int domain)
    {
        for (int slot = 0; slot < _slots.Length; slot++)
        {
            if (_slots[slot] == null)
            {
                _slots[slot] = connection;
                connection.Slot = slot;
                connection.Domain = domain;
                Count++;
                return true;
            }
        }

        return false;
    }

    /// <summary>Takes a connection out of its slot and of the queue.</summary>
    internal void Close(StoreConnection connection)
    {
        _slots[connection.Slot] = null;
        connection.Slot = Link.None;
        connection.Domain = Link.None;
        Count--;
        RemoveReady(connection);
    }

    /// <summary>Puts a connection at the end of the queue of those to serve, and tells the host that there is work.</summary>
    internal void MarkReady(StoreConnection connection)
    {
        if (connection.IsReady)
        {
            return;
        }

        bool wasIdle = _firstReady == null;
        connection.IsReady = true;
        connection.NextReady = null;
        if (_lastReady == null)
        {
            _firstReady = connection;
        }
        else
        {
            _lastReady.NextReady = connection;
        }

        _lastReady = connection;
        if (wasIdle)
        {
            _host.WorkArrived();
        }
    }

    /// <summary>Takes the connection that has waited longest; null when none waits.</summary>
    internal StoreConnection? TakeReady()
    {
        StoreConnection? connection = _firstReady;
        if (connection != null)
        {
            RemoveReady(connection);
        }

        return connection;
    }

    private void RemoveReady(StoreConnection connection)
    {
        if (!connection.IsReady)
        {
            return;
        }

        StoreConnection? previous = null;
        StoreConnection? current = _firstReady;
        while (current != null && current != connection)
        {
            previous = current;
            current = current.NextReady;
        }

        if (previous == null)
        {
            _firstReady = connection.NextReady;
        }
        else
        {
            previous.NextReady = connection.NextReady;
        }

        if (_lastReady == connection)
        {
            _lastReady = previous;
        }

        connection.NextReady = null;
        connection.IsReady = false;
    }
}

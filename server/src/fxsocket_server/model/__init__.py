"""The words of trading as types: order, deal, position, symbol, tick, candle, money."""
